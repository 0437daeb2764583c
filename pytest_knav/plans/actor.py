"""The thread of a fault that does something later, or all the while that it lasts."""

from __future__ import annotations

import random
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import changes as changing
from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.faults.base import Fault

_END_S: Final = 20.0


class Actor:
    """
    Makes the changes that come later, then runs `Fault.act`, until it is closed.

    Args:
        fault: What acts.
        cluster: Where.
        targets: On what.
        seed: What its choices come from.
        late: The changes that come some time after the beginning.

    """

    def __init__(
        self,
        fault: Fault,
        cluster: Cluster,
        targets: Iterable[str],
        seed: str,
        late: Sequence[Change] = (),
    ) -> None:
        self._late = late
        self._fault = fault
        self._cluster = cluster
        self._targets = sorted(targets)
        self._choose = random.Random(seed)  # noqa: S311 - not for secrets
        self._stop = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="knav-fault", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """
        End it and return when it has ended.

        Raises:
            HarnessError: It ended by itself with an error, or does not end.

        """
        self._stop.set()
        self._thread.join(_END_S)
        if self._thread.is_alive():
            raise HarnessError(f"{self._fault.name} does not stop acting")
        if self._error is not None:
            raise HarnessError(
                f"{self._fault.name} stopped acting: {self._error}"
            ) from self._error

    def _run(self) -> None:
        try:
            if not self._make_late():
                return
            self._fault.act(self._cluster, self._targets, self._choose, self._stop)
        # Whatever it is, whoever closes the fault must hear of it.
        except BaseException as error:  # noqa: BLE001
            self._error = error

    def _make_late(self) -> bool:
        """Make each late change in its time; return False where it was closed first."""
        begun_s = time.monotonic()
        for after_s in sorted({change.after_s for change in self._late}):
            if self._stop.wait(max(0.0, begun_s + after_s - time.monotonic())):
                return False
            due = [change for change in self._late if change.after_s == after_s]
            changing.apply(self._cluster.plane, due)
        return True
