"""Events of a watch that are delivered late, in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pytest_knav.control_plane.network.layer.rules import Rule

# More than a test makes; beyond it the API server waits, as for any slow client.
HELD_BYTES_MAX: Final = 64 * 2**20
# What ends the first part of a streaming list (KEP-3157).
_INITIAL_END: Final = b"k8s.io/initial-events-end"


class Held:
    """
    The body of one watch, held back by a rule.

    Args:
        rule: How long.
        initial: Whether it begins with a list, which is not held back.

    Attributes:
        bytes: How much is held now.

    """

    def __init__(self, rule: Rule, *, initial: bool) -> None:
        self.bytes = 0
        self._rule = rule
        self._listing = initial
        self._tail = b""
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._changed = asyncio.Condition()

    async def relay(
        self, body: AsyncIterator[bytes], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Write a body on, each piece when it is due; return when all is written."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(body, write))
            tasks.create_task(self._give(write))

    async def _take(
        self, body: AsyncIterator[bytes], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        async for piece in body:
            if self._listing:
                self._look_for_end(piece)
                await write(piece)
                continue
            async with self._changed:
                await self._changed.wait_for(lambda: self.bytes < HELD_BYTES_MAX)
                self.bytes += len(piece)
                self._waiting.append((time.monotonic(), piece))
                self._changed.notify_all()
        async with self._changed:
            self._waiting.append((time.monotonic(), None))
            self._changed.notify_all()

    def _look_for_end(self, piece: bytes) -> None:
        seen = self._tail + piece
        self._listing = _INITIAL_END not in seen
        self._tail = seen[-len(_INITIAL_END) :]

    async def _give(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
                came_s, piece = self._waiting[0]
            await self._await_due(came_s)
            async with self._changed:
                self._waiting.popleft()
                self.bytes -= len(piece or b"")
                self._changed.notify_all()
            if piece is None:
                return
            await write(piece)

    async def _await_due(self, came_s: float) -> None:
        """Return when what came at a moment may be written."""
        if self._rule.delay_s is None:
            await self._rule.over.wait()
            return
        left_s = came_s + self._rule.delay_s - time.monotonic()
        if left_s > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._rule.over.wait()
            except TimeoutError:
                return
