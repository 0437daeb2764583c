"""What `knav exclusion` costs beside a large busy cluster; no cluster is needed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError
from pytest_knav.exclusion.api import AnyCluster
from pytest_knav.exclusion.controller import Controller, Settings
from pytest_knav.selfbench import replay
from pytest_knav.selfbench.cases import FAST
from pytest_knav.selfbench.course import Course, Step


if TYPE_CHECKING:
    from pathlib import Path

    from pytest_knav.selfbench.course import Kit

NODES: Final = 1_000
PODS_PER_S: Final = 200
SECONDS: Final = 10.0
_TIMEOUT_S: Final = 6 * SECONDS


def course(kit: Kit) -> Course:
    """Return the course of the controller alone."""
    watching = Excluding(kit.folder)
    step = Step(
        case="exclusion",
        objects=int(PODS_PER_S * SECONDS),
        prepare=watching.prepare,
        act=watching.act,
    )
    return Course(side=FAST, workdir=kit.folder, steps=(step,), close=watching.close)


class Excluding:
    """
    A controller that sees pods of many nodes finish at a steady rate.

    Args:
        folder: Where the kubeconfig goes.
        nodes: How many nodes.
        seconds: For how long.

    """

    def __init__(
        self, folder: Path, *, nodes: int = NODES, seconds: float = SECONDS
    ) -> None:
        self._kubeconfig = folder / "replay.kubeconfig"
        self._nodes = nodes
        self._seconds = seconds
        self._server: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """
        Start the server.

        Raises:
            HarnessError: It does not start.

        """
        self.close()
        self._server = subprocess.Popen(
            [
                *(sys.executable, "-m", replay.__name__, str(self._nodes)),
                *(str(PODS_PER_S), str(self._seconds)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        port = self._server.stdout.readline().strip() if self._server.stdout else ""
        if not port:
            raise HarnessError("the server of the replay did not start")
        replay.write_kubeconfig(self._kubeconfig, int(port))

    def act(self) -> None:
        """
        Follow; return when every pod was reckoned with.

        Raises:
            HarnessError: Pods are missing, or no lemon was excluded.

        """
        pods = int(PODS_PER_S * self._seconds)
        with closing(AnyCluster(self._kubeconfig)) as api:
            controller, stop = Controller(api, Settings()), threading.Event()
            thread = threading.Thread(target=controller.run, args=(stop,))
            thread.start()
            ends_s = time.monotonic() + _TIMEOUT_S
            while controller.samples < pods and time.monotonic() < ends_s:
                stop.wait(0.05)
            stop.set()
            thread.join()
        if controller.samples < pods:
            raise HarnessError(f"{controller.samples} of {pods} pods were seen")

    def close(self) -> None:
        """End the server."""
        server, self._server = self._server, None
        if server is not None:
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
