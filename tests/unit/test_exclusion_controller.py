"""The controller beside a replayed API server: kills, refusals, repairs, floods."""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane.retrying import until
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.exclusion.api import AnyCluster
from pytest_knav.exclusion.controller import Controller, Settings
from pytest_knav.exclusion.following import ALIVE
from pytest_knav.exclusion.node_state import ANNOTATION, is_tainted, says_so
from pytest_knav.exclusion.policy import Limits
from pytest_knav.exclusion.preflight import check
from pytest_knav.selfbench.replay import NODES, PODS, Replay, ReplayServer


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEMON = "node-0003"


@pytest.fixture
def replay() -> Replay:
    """Return twenty nodes on which sixty pods of two jobs came to a good end."""
    made = Replay(20)
    for number in range(60):
        owner = "train" if number % 2 else "eval"
        node = f"node-{number % 20:04d}"
        made.finish_pod(f"good-{number}", node, good=True, owner=owner)
    return made


@pytest.fixture
def api(replay: Replay, tmp_path: Path) -> Iterator[AnyCluster]:
    """Serve it, and return the way to it."""
    with (
        ReplayServer(replay) as server,
        closing(AnyCluster(server.kubeconfig(tmp_path / "config"))) as made,
    ):
        yield made


def controller_of(api: AnyCluster, **settings: object) -> Controller:
    """Return a controller that knows all nodes and pods, as after its start."""
    made = Controller(api, Settings(**settings))  # type: ignore[arg-type]
    see(made, api)
    return made


def see(controller: Controller, api: AnyCluster) -> None:
    """Let a controller see all there is, and decide."""
    for path in (NODES, PODS):
        controller.take(path, "LIST", api.list(path)[0])
    controller.take(ALIVE, "LIST", api.list(PODS)[0])
    controller.cycle()


def fail(replay: Replay, count: int, owner: str = "train", first: int = 0) -> None:
    """Let pods fail on the lemon."""
    for number in range(first, first + count):
        replay.finish_pod(f"{owner}-bad-{number}", LEMON, good=False, owner=owner)


def in_a_day() -> str:
    """Return this time tomorrow, as the API has it."""
    return (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_lemon_gets_taint_condition_and_event(
    replay: Replay, api: AnyCluster
) -> None:
    """And nobody else does."""
    fail(replay, 5)

    controller = controller_of(api)

    node = replay.node(LEMON)
    assert is_tainted(node)
    assert says_so(node)
    assert [event["reason"] for event in replay.events] == ["NodeExcluded"]
    assert controller.policy.excluded == [LEMON]


def test_what_a_kill_left_half_written_is_finished(
    replay: Replay, api: AnyCluster
) -> None:
    """The taint was written, the condition was not: the next life writes it."""
    fail(replay, 5)
    replay.broken["status"] = 100
    controller_of(api)
    half = replay.node(LEMON)
    replay.broken.clear()

    controller_of(api)

    assert (is_tainted(half), says_so(half)) == (True, False)
    assert says_so(replay.node(LEMON))


def test_what_could_not_be_written_is_written_later(
    replay: Replay, api: AnyCluster
) -> None:
    """The API server refuses for a while."""
    fail(replay, 5)
    replay.broken[""] = 1
    controller = controller_of(api)
    before = is_tainted(replay.node(LEMON))

    controller.cycle()

    assert not before
    assert is_tainted(replay.node(LEMON))


def test_a_restart_forgets_nothing_and_counts_nothing_twice(
    replay: Replay, api: AnyCluster
) -> None:
    """The same node, the same evidence, no write of another opinion."""
    fail(replay, 5)
    first = controller_of(api)
    node = replay.node(LEMON)

    again = controller_of(api)

    assert again.policy.excluded == [LEMON]
    known, found = (c.estimator.view(LEMON, c.now_s()).failures for c in (first, again))
    assert found == pytest.approx(known, abs=0.1)
    assert replay.node(LEMON)["metadata"]["annotations"].keys() == {ANNOTATION}
    assert replay.node(LEMON)["spec"] == node["spec"]


@pytest.mark.parametrize("how", ["untainted", "rebooted"])
def test_who_is_taken_back_is_not_excluded_for_what_was_before(
    replay: Replay, api: AnyCluster, how: str
) -> None:
    """Neither by its next good pod, nor after a restart."""
    fail(replay, 8)
    controller = controller_of(api)
    if how == "untainted":
        replay.untaint(LEMON)
    else:
        replay.add_node(LEMON, boot="second")
    see(controller, api)
    replay.finish_pod("next", LEMON, good=True, owner="eval")
    see(controller, api)
    at_once = controller.policy.excluded

    later = controller_of(api)

    assert (at_once, later.policy.excluded) == ([], [])
    assert not is_tainted(replay.node(LEMON))
    assert not says_so(replay.node(LEMON))


def test_a_clock_that_was_ahead_prolongs_nothing(
    replay: Replay, api: AnyCluster
) -> None:
    """Pods of tomorrow count now, and what fails after them counts as well."""
    for number in range(2):
        replay.finish_pod(
            f"ahead-{number}",
            LEMON,
            good=False,
            owner="train",
            at="2126-01-01T00:00:00Z",
        )
    controller = controller_of(api)
    fail(replay, 4)

    see(controller, api)

    excluded_s = controller.policy.nodes[LEMON].excluded_s
    assert excluded_s is not None
    assert excluded_s <= controller.now_s()
    text = replay.node(LEMON)["metadata"]["annotations"][ANNOTATION]
    assert json.loads(text)["until"] <= controller.now_s() + 0.1


def test_a_flood_of_failures_of_one_user_excludes_nobody(
    replay: Replay, api: AnyCluster
) -> None:
    """Two hundred jobs of a series, each of one pod, fail on every node."""
    for number in range(200):
        node = f"node-{number % 20:04d}"
        owner = f"sweep-{number}"
        replay.finish_pod(f"flood-{number}", node, good=False, owner=owner)

    controller = controller_of(api)

    assert controller.policy.excluded == []
    assert controller.counts["refuse"] == 0


def serve(replay: Replay, services: int, restarts: int) -> None:
    """Let each service have a pod on the lemon, restarted, and one elsewhere."""
    for number in range(services):
        owner = f"service-{'abcdefgh'[number]}"
        replay.run_pod(f"{owner}-0", LEMON, restarts=restarts, owner=owner)
        replay.run_pod(f"{owner}-1", f"node-{number + 10:04d}", restarts=0, owner=owner)


def test_a_node_on_which_services_only_crash_is_found(
    replay: Replay, api: AnyCluster
) -> None:
    """No pod ever ends there; their like run elsewhere without a restart."""
    serve(replay, services=4, restarts=0)
    controller = controller_of(api, settled_s=0.01)
    before = controller.policy.excluded
    for restarts in (1, 2):
        serve(replay, services=4, restarts=restarts)
        see(controller, api)

    assert (before, controller.policy.excluded) == ([], [LEMON])


def test_a_service_that_crashes_everywhere_excludes_nobody(
    replay: Replay, api: AnyCluster
) -> None:
    """On all twenty nodes, ten times each."""
    controller = controller_of(api)
    for restarts in range(10):
        for number in range(20):
            replay.run_pod(
                f"broken-{number}",
                f"node-{number:04d}",
                restarts=restarts,
                owner="broken",
            )
        see(controller, api)

    assert controller.samples == 60 + 9 * 20
    assert controller.policy.excluded == []


def test_restarts_count_once_over_a_restart_of_the_controller(
    replay: Replay, api: AnyCluster
) -> None:
    """What the node remembers is not counted again."""
    serve(replay, services=4, restarts=0)
    first = controller_of(api, settled_s=0.01)
    for restarts in (1, 2):
        serve(replay, services=4, restarts=restarts)
        see(first, api)

    again = controller_of(api)

    known, found = (c.estimator.view(LEMON, c.now_s()).failures for c in (first, again))
    assert again.policy.excluded == [LEMON]
    assert known == pytest.approx(8, abs=0.1)
    assert found == pytest.approx(known, abs=0.1)


def test_a_dry_run_writes_nothing(replay: Replay, api: AnyCluster) -> None:
    """It says what it would do."""
    fail(replay, 5)

    controller = controller_of(api, dry_run=True)

    assert controller.counts["exclude"] == 1
    assert "annotations" not in replay.node(LEMON)["metadata"]
    assert not is_tainted(replay.node(LEMON))


def test_a_missing_right_is_told_and_nothing_is_written(
    replay: Replay, api: AnyCluster
) -> None:
    """With what it is."""
    replay.denied.add("patch")

    with pytest.raises(ClusterError, match="you may not patch nodes"):
        check(api, Settings())

    assert replay.events == []


def test_a_refused_exclusion_is_made_when_the_limit_gives_way(
    replay: Replay, api: AnyCluster
) -> None:
    """Though nothing else fails there."""
    fail(replay, 5)
    controller = controller_of(api, limits=Limits(share=0.0))
    before = list(controller.policy.excluded)
    controller.policy.limits = Limits(share=0.5)

    controller.cycle()

    assert (before, controller.policy.excluded) == ([], [LEMON])


@contextmanager
def running(controller: Controller) -> Iterator[None]:
    """Let a controller follow its cluster for the length of a block."""
    from threading import Thread  # noqa: PLC0415 - only here

    stop = Event()
    thread = Thread(target=controller.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30.0)


def test_it_follows_a_watch(replay: Replay, api: AnyCluster) -> None:
    """Pods that fail while it runs lead to an exclusion."""
    controller = Controller(api, Settings(cycle_s=0.05))

    with running(controller):
        until(lambda: controller.samples == 60, timeout_s=20.0)
        fail(replay, 6)
        found = until(lambda: is_tainted(replay.node(LEMON)), timeout_s=20.0)

    assert found


def test_an_old_cache_excludes_nobody_and_loses_nothing(
    replay: Replay, api: AnyCluster
) -> None:
    """What a watch held back counts once it comes, and writes are not fooled by it."""
    controller = Controller(api, Settings(cycle_s=0.05))

    with running(controller):
        until(lambda: controller.samples == 60, timeout_s=20.0)
        replay.stale = True
        fail(replay, 6)
        meanwhile = until(lambda: controller.samples > 60, timeout_s=0.5)
        replay.stale = False
        found = until(lambda: is_tainted(replay.node(LEMON)), timeout_s=20.0)
        until(lambda: controller.samples == 66, timeout_s=20.0)

    assert (meanwhile, bool(found)) == (False, True)
    assert controller.policy.excluded == [LEMON]
    assert [event["reason"] for event in replay.events] == ["NodeExcluded"]


def test_a_taint_that_is_not_seen_yet_is_not_taken_for_taken_away(
    replay: Replay, api: AnyCluster
) -> None:
    """The node as it was before our own write comes late."""
    fail(replay, 5)
    old = replay.node(LEMON)
    controller = controller_of(api)

    controller.take(NODES, "MODIFIED", old)
    controller.cycle()

    assert controller.policy.excluded == [LEMON]
    assert is_tainted(replay.node(LEMON))


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
def test_a_step_of_the_clock_excludes_and_readmits_nobody(
    replay: Replay, api: AnyCluster, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    """A day back or ahead while it runs; its own clock goes on."""
    fail(replay, 5)
    controller = controller_of(api)
    before_s, wall = controller.now_s(), time.time

    monkeypatch.setattr(time, "time", lambda: wall() + step_s)
    see(controller, api)

    assert controller.policy.excluded == [LEMON]
    assert 0 <= controller.now_s() - before_s < 60
    assert controller.counts == {"exclude": 1}


def test_what_was_written_by_a_clock_that_was_ahead_is_not_the_last_word(
    replay: Replay, api: AnyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set back while the controller is dead: what fails then is kept as well."""
    monkeypatch.setattr("pytest_knav.exclusion.controller._REMEMBER_EVERY_S", 0.0)
    wall, tomorrow = time.time, in_a_day()
    for name in "ab":
        replay.finish_pod(name, LEMON, good=False, owner="train", at=tomorrow)
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: wall() + 86_400)
        controller_of(api)
    second = controller_of(api)

    replay.finish_pod("c", LEMON, good=False, owner="train", at=tomorrow)
    see(second, api)

    written = json.loads(replay.node(LEMON)["metadata"]["annotations"][ANNOTATION])
    assert written["until"] <= second.now_s() + 0.1
    assert sum(failed for _, failed, _ in written["evidence"].values()) > 2.9


@pytest.mark.parametrize("limit", [{"threshold": 1.5}, {"share": -0.1}])
def test_a_limit_outside_its_range_is_refused(limit: dict[str, float]) -> None:
    """Before anything is asked of the cluster."""
    with pytest.raises(BadInput, match="give a number from 0 to 1"):
        Limits(**limit)
