"""
Played kubelets that try again: what KWOK gives up, somebody asks it for once more.

A kubelet writes a pod's status again and again until it is taken (pkg/kubelet/status).
KWOK tries again when it was refused a connection or told to wait, but not after a plain
error such as the API server's when etcd ends in the middle of a write (kwok 0.8,
pkg/kwok/controllers/utils.go, shouldRetry): then the pod would stay as it is for good,
and the scheduler under test would be blamed for it. KWOK looks at an object anew
whenever it changes, so an annotation is enough.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError
from pytest_knav.history.connection import ApiError, ConnectionLost


if TYPE_CHECKING:
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history.transport import HttpTransport

ANNOTATION: Final = "pytest-knav/kubelet-tries-again"
_LOOK_S: Final = 0.5
_STOP_TIMEOUT_S: Final = 10.0
_READ_MAX: Final = 4 * 1024**2
_LEFT_MAX: Final = 20_000
_GAVE_UP: Final = b"failed to apply stage"
_TRIES_ITSELF: Final = b"retrying for failed job"
_LOG: Final = "kwok-controller.log"
# What a kubelet would not try again either: the object is gone, is another one by now,
# or will never be taken (apimachinery, pkg/api/errors/errors.go).
_IN_VAIN: Final = ("not found", "Precondition failed", "is invalid")


class Kubelets:
    """
    Follows KWOK's log, and has it look again at what it gave up.

    Args:
        plane: The control plane; its own KWOK alone.

    """

    def __init__(self, plane: ControlPlane) -> None:
        self._log = plane.workdir / "logs" / _LOG
        self._transport = plane.transport()
        self._read = self._size()
        self._rest = b""
        self._left: dict[str, None] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="knav-kubelets", daemon=True
        )

    def start(self) -> None:
        """Look after them from now on."""
        self._thread.start()

    def close(self) -> None:
        """
        Look no more; returns when nothing of it is left. Twice is harmless.

        Raises:
            HarnessError: Its thread does not end.

        """
        self._stop.set()
        self._transport.close()
        self._thread.join(_STOP_TIMEOUT_S)
        if self._thread.is_alive():
            raise HarnessError("the thread that looks after kubelets does not end")

    def step(self) -> None:
        """Read what is new, and ask for what is left."""
        for path in given_up(self._news()):
            if len(self._left) < _LEFT_MAX:
                self._left[path] = None
        for path in list(self._left):
            if self._stop.is_set() or not ask_again(self._transport, path):
                return
            del self._left[path]

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.step()

    def _news(self) -> list[bytes]:
        """Return the whole lines that were added; of very many only the last."""
        size = self._size()
        if size < self._read:
            self._read, self._rest = 0, b""
        if size == self._read:
            return []
        if size - self._read > _READ_MAX:
            self._read, self._rest = size - _READ_MAX, b""
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                text = self._rest + file.read(_READ_MAX)
                self._read = file.tell()
        except FileNotFoundError:
            # Somebody has removed the cluster.
            return []
        *lines, self._rest = text.split(b"\n")
        return lines

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0


def given_up(lines: list[bytes]) -> list[str]:
    """Return the paths of the pods and nodes of which KWOK's log says so, in order."""
    found: dict[str, None] = {}
    for line in lines:
        if _GAVE_UP in line:
            path = _path(line)
            if path:
                found[path] = None
        elif _TRIES_ITSELF in line:
            found.pop(_path(line), None)
    return list(found)


def ask_again(transport: HttpTransport, path: str) -> bool:
    """Change an annotation of an object; return whether there is nothing left to do."""
    body = {"metadata": {"annotations": {ANNOTATION: f"{time.time():.3f}"}}}
    try:
        transport.patch(path, body)
    except ConnectionLost:
        return False
    except ApiError as error:
        # Gone, or forbidden for good; only what the server itself lacks may come back.
        return error.status < 500 and error.status != 429
    return True


def _path(line: bytes) -> str:
    """Return the path of the object that a line of the log is about, or nothing."""
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(told, dict) or any(
        text in str(told.get("err", "")) for text in _IN_VAIN
    ):
        return ""
    namespace, _, name = str(told.get("pod", "")).partition("/")
    if name:
        return f"/api/v1/namespaces/{namespace}/pods/{name}"
    node = str(told.get("node", ""))
    return f"/api/v1/nodes/{node}" if node and "pod" not in told else ""
