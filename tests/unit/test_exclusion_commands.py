"""`knav exclusion` with bad input, and the scorecard: nothing asked of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import cli
from pytest_knav.errors import BadInput, HarnessError
from pytest_knav.selfbench.replay import Replay, ReplayServer


if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--estimator=guess", "use one of bayes, armada, window"),
        ("--threshold=1.5", "give a number from 0 to 1"),
        ("--max-excluded=120%", "give a share from 0% to 100%"),
        ("--probation=soon", "is not a duration"),
        ("--probation=0s", "give at least 50ms"),
        ("--cycle=0s", "give at least 50ms"),
        ("--settled=0s", "give at least 50ms"),
        ("--max-per-domain=0", "--max-per-domain=0: give a whole number"),
        ("--breaker=0", "--breaker=0: give a whole number"),
        ("--queue-label=", "give the key of a label"),
        ("--domain-label=a=b", "give the key of a label"),
        ("--selector=rack=none", "you may not patch nodes"),
    ],
)
def test_bad_input_leaves_no_taint(tmp_path: Path, option: str, message: str) -> None:
    """A clear error, and no node was changed."""
    replay = Replay(2)
    replay.denied.add("patch")
    before = [replay.node(f"node-{number:04d}") for number in range(2)]

    with ReplayServer(replay) as server:
        config = server.kubeconfig(tmp_path / "config")
        args = ["exclusion", f"--kubeconfig={config}", option]
        with pytest.raises(HarnessError, match=message):
            cli.app(args, standalone_mode=False)

    assert [replay.node(f"node-{number:04d}") for number in range(2)] == before


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("pool=cpu", "'pool=cpu' matches none of 2 nodes: see kubectl get nodes"),
        ("os=linux", "'os=linux' matches every one of 2 nodes, so it protects none"),
    ],
)
def test_a_selector_that_says_nothing_is_refused(
    tmp_path: Path, selector: str, message: str
) -> None:
    """It matches no node, or every one; no node was changed."""
    replay = Replay()
    replay.add_node("a", os="linux", pool="gpu")
    replay.add_node("b", os="linux")
    before = [replay.node(name) for name in "ab"]

    with ReplayServer(replay) as server:
        config = server.kubeconfig(tmp_path / "config")
        args = ["exclusion", f"--kubeconfig={config}", f"--selector={selector}"]
        with pytest.raises(BadInput, match=message):
            cli.app(args, standalone_mode=False)

    assert [replay.node(name) for name in "ab"] == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--external=true"], "give both: the command, and what it does"),
        (["--by=cordon"], "give both"),
        (["--external=true", "--by=magic"], "use one of taint:KEY"),
        (["--external=no-such-program", "--by=cordon"], "there is no such program"),
        (["--external=  ", "--by=cordon"], "give a program"),
        (["--plot=/no/such/place/a.svg"], "there is no directory"),
    ],
)
def test_a_trial_that_makes_no_sense_is_refused(
    options: list[str], message: str
) -> None:
    """Before a cluster is made."""
    with pytest.raises(BadInput, match=message):
        cli.app(["exclusion-score", *options], standalone_mode=False)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """With the option and why; nothing has begun."""
    replay = Replay(2)
    with ReplayServer(replay) as server:
        config = server.kubeconfig(tmp_path / "config")
        args = [f"--kubeconfig={config}", f"--metrics-port={server.port}"]

        with pytest.raises(BadInput, match=f"--metrics-port={server.port}: Address"):
            cli.app(["exclusion", *args], standalone_mode=False)
