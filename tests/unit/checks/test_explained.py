"""Each phase of a recovery names the setting that it waits for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pytest_knav.checks.explained import explain, profile_of
from pytest_knav.checks.following import PHASES
from pytest_knav.control_plane.profiles import fast_profile
from pytest_knav.history.record import STEP


def told() -> dict[str, Any]:
    """Return a time profile as the history holds it."""
    profile = fast_profile(8)
    return {**asdict(profile), "detection_s": profile.detection_s}


def test_every_phase_has_a_setting() -> None:
    """No part of a recovery is without an explanation."""
    found = explain(dict.fromkeys(PHASES, 1.0), told(), ended=True)

    assert [one.phase for one in found] == list(PHASES)
    assert all(one.component and one.setting for one in found)


def test_settings_carry_the_values_of_the_run() -> None:
    """What is shown is what the control plane was started with."""
    detect, evict = explain({"detect": 9.7, "evict": 5.0}, told(), ended=True)

    assert "--node-monitor-grace-period=10s" in detect.setting
    assert detect.up_to_s == 13
    assert "tolerationSeconds=5 " in evict.setting
    assert str(evict).startswith("evict 5.0s: kube-controller-manager, toleration")
    assert str(evict).endswith("up to 5s")


def test_the_phase_that_was_not_reached() -> None:
    """Without a recovery the last line says what was waited for in vain."""
    *_, last = explain({"detect": 9.7, "taint": 0.1}, told(), ended=False)

    assert last.phase == "evict"
    assert last.seconds is None
    assert str(last).startswith("evict not reached: kube-controller-manager")


def test_a_history_without_a_profile() -> None:
    """An older run explains nothing, and is no error."""
    assert explain({"detect": 9.7}, {}, ended=True) == ()


def test_profile_is_in_the_history(story: Any) -> None:
    """It stands in the step that begins the test."""
    assert profile_of(story.history) == {}

    story.seen._add(0, "BEGIN", STEP, "test", "", data={"profile": told()})

    assert profile_of(story.history)["monitor_grace_s"] == 10
