"""What `chaos.inject` returns: a fault for the length of a `with` block."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NoReturn


if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pytest_knav.plans.active import ActiveFault


class Injection(AbstractContextManager["ActiveFault"]):
    """
    A fault for the length of a `with` block; nothing is broken before it is entered.

    Args:
        title: The fault, as its author wrote it.
        begin: Breaks it.
        end: Takes it back, after an exception or without one.

    """

    _active: ActiveFault

    def __init__(
        self,
        title: str,
        begin: Callable[[], ActiveFault],
        end: Callable[[ActiveFault, BaseException | None], None],
    ) -> None:
        self.title = title
        self.entered = False
        self._begin = begin
        self._end = end

    def __enter__(self) -> ActiveFault:
        """Break it and return it."""
        self.entered = True
        self._active = self._begin()
        return self._active

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it back."""
        self._end(self._active, error)

    def __repr__(self) -> str:
        return f"chaos.inject({self.title})"

    def __getattr__(self, name: str) -> NoReturn:
        """
        Refuse what only a fault in force has.

        Raises:
            AttributeError: Always.

        """
        raise AttributeError(
            f"{self!r} has no {name!r}: it lasts for the length of a block. Write "
            "`with chaos.inject(…) as fault:` and use `fault`, or "
            "`fault = chaos.start(…)` for a fault that lasts until the end of the test"
        )

    def unused(self) -> str:
        """Return what is to be said of one that was never entered, else nothing."""
        if self.entered:
            return ""
        return (
            f"{self!r} broke nothing, as no `with` entered it: write "
            "`with chaos.inject(…):`, or `chaos.start(…)` for a fault that lasts until "
            "the end of the test"
        )
