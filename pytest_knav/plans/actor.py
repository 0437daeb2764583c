"""The thread of a fault that goes on doing something while it lasts."""

from __future__ import annotations

import random
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.faults.base import Fault

_END_S: Final = 20.0


class Actor:
    """
    Runs `Fault.act` until it is closed.

    Args:
        fault: What acts.
        cluster: Where.
        targets: On what.
        seed: What its choices come from.

    """

    def __init__(
        self, fault: Fault, cluster: Cluster, targets: Iterable[str], seed: str
    ) -> None:
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
            self._fault.act(self._cluster, self._targets, self._choose, self._stop)
        # Whatever it is, whoever closes the fault must hear of it.
        except BaseException as error:  # noqa: BLE001
            self._error = error
