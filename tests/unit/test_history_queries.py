"""What a history answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.errors import HarnessError, Inconclusive
from pytest_knav.history import History, HistoryWriter, Record


if TYPE_CHECKING:
    from pathlib import Path


def record(revision: int, verb: str, name: str, **fields: Any) -> Record:
    """Return a record of a pod, or of what is given."""
    fields = {"kind": "Pod", "uid": f"u-{name}", **fields}
    return Record(
        revision=revision,
        monotonic=fields.pop("monotonic", float(revision)),
        wall=0.0,
        verb=verb,
        namespace="default",
        name=name,
        **fields,
    )


def added(revision: int, name: str, **fields: Any) -> Record:
    """Return the record of a pod's first sight."""
    data = {"metadata": {"name": name}, "phase": "Pending"}
    return record(revision, "ADDED", name, **{"data": data, **fields})


def phase(revision: int, name: str, value: str) -> Record:
    """Return the record of a pod's change of phase."""
    return record(revision, "MODIFIED", name, patch={"phase": value})


def own(revision: int, kind: str, verb: str, name: str, **data: Any) -> Record:
    """Return an entry of our own."""
    return record(revision, verb, name, kind=kind, uid="", data=data)


def history_of(*records: Record, max_records: int = 500) -> History:
    """Return a history of these records."""
    history = History(max_records=max_records)
    for one in records:
        history.add(one)
    return history


@pytest.fixture
def history() -> History:
    """Return a small history: one pod that runs and ends, one that stays."""
    return history_of(
        own(10, "knav/Watch", "BEGIN", "Pod"),
        added(11, "a"),
        added(12, "b"),
        phase(13, "a", "Running"),
        record(15, "DELETED", "a"),
        phase(16, "b", "Running"),
    )


def test_order_is_the_revision_not_the_arrival() -> None:
    """Watchers of different kinds are not in step; the history is."""
    node = added(2, "n", kind="Node", uid="u-n")
    history = history_of(added(1, "a"), phase(3, "a", "Running"), node)

    assert [r.revision for r in history.records()] == [1, 2, 3]


def test_a_span_begins_after_since_and_ends_with_until(history: History) -> None:
    """As with a Kubernetes watch, `since` is what one knows already."""
    span = history.records("Pod", since_revision=12, until=15)

    assert [r.revision for r in span] == [13, 15]


def test_our_own_entries_at_since_belong_to_the_span() -> None:
    """A fault noted at the newest revision is not lost to a span from there on."""
    history = history_of(added(5, "a"), own(5, "knav/Fault", "INJECTED", "f"))

    assert [r.kind for r in history.records(since_revision=5)] == ["knav/Fault"]


def test_latest_and_get_show_what_lives_now(history: History) -> None:
    """A deleted object is in neither."""
    assert set(history.latest("Pod")) == {"u-b"}
    assert history.get("Pod", "default", "a") is None
    assert (history.get("Pod", "default", "b") or {})["phase"] == "Running"


def test_a_new_object_of_the_same_name_is_another_one(history: History) -> None:
    """The late end of the old one does not hide the new one."""
    history.add(added(17, "b", uid="u-b2"))
    history.add(record(18, "DELETED", "b"))

    assert (history.get("Pod", "default", "b") or {})["phase"] == "Pending"


@pytest.mark.parametrize(
    ("revision", "phases"),
    [
        (10, {}),
        (12, {"u-a": "Pending", "u-b": "Pending"}),
        (14, {"u-a": "Running", "u-b": "Pending"}),
        (15, {"u-b": "Pending"}),
        (99, {"u-b": "Running"}),
    ],
)
def test_state_at_is_what_was_true_just_after_a_revision(
    history: History, revision: int, phases: dict[str, str]
) -> None:
    """Every past state can be had."""
    state = history.state_at(revision, "Pod")

    assert {uid: pod["phase"] for uid, pod in state.items()} == phases


def test_the_state_before_recording_began_is_not_known(history: History) -> None:
    """No objects recorded does not mean no objects."""
    with pytest.raises(Inconclusive, match="recorded since revision 10"):
        history.state_at(9, "Pod")


def test_the_state_of_a_kind_that_is_not_recorded_is_not_known(
    history: History,
) -> None:
    """A misspelt kind is no empty cluster."""
    with pytest.raises(Inconclusive, match=r"pods is not in this history.*Pod"):
        history.state_at(12, "pods")


def test_versions_tell_the_life_of_one_object(history: History) -> None:
    """The last version of a deleted object has no object."""
    versions = history.versions("u-a")

    seen = [(v.revision, v.verb, (v.object or {}).get("phase")) for v in versions]
    assert seen == [
        (11, "ADDED", "Pending"),
        (13, "MODIFIED", "Running"),
        (15, "DELETED", None),
    ]


def test_replay_gives_each_record_with_the_object_it_led_to(history: History) -> None:
    """A replay that begins in the middle knows what was before."""
    steps = history.replay(12, {"Pod"})

    assert [(r.revision, (o or {}).get("phase")) for r, o in steps] == [
        (13, "Running"),
        (15, None),
        (16, "Running"),
    ]


def test_gaps_are_those_that_reach_into_the_span() -> None:
    """A gap that ended before the span does not matter, a filled one never."""
    gap = {"from": 20, "to": 30, "from_monotonic": 19.0, "reason": "410"}
    history = history_of(
        own(30, "knav/Gap", "GAP", "Pod", **gap),
        own(30, "knav/Gap", "FILLED", "Node", **gap),
    )

    (found,) = history.gaps(29)

    assert (found.resource, found.from_revision, found.to_revision) == ("Pod", 20, 30)
    assert history.gaps(30) == []
    assert history.gaps(29, kinds={"Node"}) == []


def test_monotonic_of_is_when_a_revision_was_first_seen(history: History) -> None:
    """A revision that changed nothing recorded was seen with the next that did."""
    assert history.monotonic_of(14) == 15.0
    with pytest.raises(Inconclusive, match="newest record is at 16"):
        history.monotonic_of(17)


def test_a_full_history_folds_its_oldest_part() -> None:
    """The present stays right, and the lost past is refused, not invented."""
    changes = [phase(r, "a", f"p{r}") for r in range(2, 41)]
    fault = own(2, "knav/Fault", "INJECTED", "f")
    history = history_of(added(1, "a"), fault, *changes, max_records=16)
    boundary = history.truncated_before

    assert len(history.records()) <= 16
    assert history.latest("Pod")["u-a"]["phase"] == "p40"
    assert history.state_at(boundary, "Pod")["u-a"]["phase"] == f"p{boundary}"
    assert len(history.records("knav/Fault")) == 1
    for question in (
        lambda: history.state_at(boundary - 1, "Pod"),
        lambda: history.records(since_revision=boundary - 1),
        lambda: history.gaps(boundary - 1),
        lambda: list(history.replay(boundary - 1)),
        lambda: history.monotonic_of(boundary - 1),
    ):
        with pytest.raises(Inconclusive, match="no longer in this history"):
            question()


def test_more_live_objects_than_records_allowed_are_kept() -> None:
    """What lives now is never folded away."""
    history = history_of(*(added(r, f"p{r}") for r in range(1, 41)), max_records=8)

    assert len(history.latest("Pod")) == 40
    assert len(history.state_at(40, "Pod")) == 40


def test_a_change_of_an_unknown_object_is_an_error() -> None:
    """A patch without the object that it patches cannot be believed."""
    with pytest.raises(HarnessError, match="never seen"):
        history_of(phase(1, "a", "Running"))


def test_a_stored_history_answers_like_the_recorded_one(
    history: History, tmp_path: Path
) -> None:
    """A run can be judged again later, without a cluster."""
    writer = HistoryWriter(tmp_path)
    for one in history.records():
        writer.append(one)
    writer.close()

    loaded = History.load(tmp_path)

    assert loaded.records() == history.records()
    assert loaded.state_at(14, "Pod") == history.state_at(14, "Pod")
    assert loaded.cut == ""


def test_events_about_are_the_newest_ones_oldest_first() -> None:
    """A failure shows what the cluster said about the objects in question."""

    def event(revision: int, about: str, **fields: Any) -> Record:
        metadata = {"name": f"e{revision}", "resourceVersion": str(revision)}
        data = {"metadata": metadata, "involvedObject": {"name": about}, **fields}
        return added(revision, f"e{revision}", kind="Event", data=data)

    history = history_of(
        event(1, "a", lastTimestamp="2026-01-01T00:00:09Z"),
        event(2, "a", eventTime="2026-01-01T00:00:05.123456Z", lastTimestamp=None),
        event(3, "other", lastTimestamp="2026-01-01T00:00:07Z"),
        event(4, "a", lastTimestamp="2026-01-01T00:00:01Z"),
    )

    about = history.events_about("a", "b", limit=2)

    assert [e["metadata"]["name"] for e in about] == ["e2", "e1"]
