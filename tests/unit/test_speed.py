"""What makes the fast control plane fast."""

from __future__ import annotations

from pytest_knav.control_plane import speed


def test_a_late_collector_never_comes_without_a_memory_limit() -> None:
    """GOGC without GOMEMLIMIT would let an API server take what there is."""
    names = set(speed.environment("fast"))

    assert {"GOGC", "GOMEMLIMIT"} <= names


def test_plain_has_none_of_it() -> None:
    """What kwokctl starts by itself stays as it is."""
    assert speed.options("plain") == {}
    assert speed.flags("plain") == {}
    assert speed.environment("plain") == {}


def test_every_setting_can_be_switched_and_is_accounted_for() -> None:
    """Each has one way to take effect, a measurement and a reason."""
    for setting in speed.SETTINGS:
        ways = [setting.flag, setting.variable, setting.option]

        assert sum(way is not None for way in ways) == 1
        assert setting.measured
        assert setting.harmless
