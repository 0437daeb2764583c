"""Python's collector of cycles is held while a history is gone through."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from pytest_knav.history.collecting import collector_held


if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    """Leave the collector as it was."""
    was = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was else gc.disable)()


@collector_held()
def _broken() -> None:
    assert not gc.isenabled()
    raise ValueError("broken")


def test_it_is_held_and_goes_on() -> None:
    """Inside it looks at nothing; afterwards it does again, whatever was raised."""
    with pytest.raises(ValueError, match="broken"):
        _broken()

    assert gc.isenabled()


def test_who_has_switched_it_off_keeps_it_off() -> None:
    """What was off before is off afterwards, also in a block within a block."""
    with collector_held():
        with collector_held():
            pass
        inside = gc.isenabled()
    gc.disable()
    with collector_held():
        pass

    assert not inside
    assert not gc.isenabled()
