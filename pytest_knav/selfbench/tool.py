"""kwokctl as a user runs it, with a work directory and a kubeconfig of its own."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import kwokctl
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav.control_plane.plane import Binaries
    from pytest_knav.control_plane.registry import ClusterEntry

_LAST_WORDS: Final = 500
_TELL_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """
    kwokctl for one cluster of the registry, ours or plain.

    `~/.kwok`, `~/.kube/config` and the variables `KWOK_*` are neither read nor written.
    """

    binaries: Binaries
    entry: ClusterEntry

    @property
    def home(self) -> Path:
        """Return the work directory of kwokctl."""
        return self.entry.directory / "kwok"

    def run(
        self,
        *arguments: str,
        timeout_s: float,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Run one command for the cluster and return when it has ended.

        Args:
            *arguments: What kwokctl shall do.
            timeout_s: How long it may take.
            meanwhile: Called every second, for showing how far it is.

        Raises:
            ClusterError: It failed or did not end in time.

        """
        command = [
            str(self.binaries.paths["kwokctl"]),
            *arguments,
            f"--name={self.entry.name}",
        ]
        what = " ".join(arguments[:2])
        with subprocess.Popen(
            command,
            env=kwokctl.environment(self.home, self.binaries.paths["kubectl"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C is for us: what is left of the cluster goes in our order.
            start_new_session=True,
        ) as process:
            try:
                said = _await(process, timeout_s, meanwhile)
            except BaseException:
                process.kill()
                raise
        if said is None:
            raise ClusterError(f"kwokctl {what} did not end within {timeout_s:g}s")
        if process.returncode:
            raise ClusterError(f"kwokctl {what} failed: {said.strip()[-_LAST_WORDS:]}")

    def scale(
        self,
        kind: str,
        count: int,
        *more: str,
        timeout_s: float,
        meanwhile: Callable[[], None],
    ) -> None:
        """Make so many nodes or pods by `kwokctl scale`."""
        flag = f"--replicas={count}"
        self.run(
            "scale", kind, flag, *more, timeout_s=timeout_s, meanwhile=meanwhile
        )  # fmt: skip


def _await(
    process: subprocess.Popen[str], timeout_s: float, meanwhile: Callable[[], None]
) -> str | None:
    """Return what a process printed until its end; None when it took too long."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            return process.communicate(timeout=_TELL_S)[0]
        except subprocess.TimeoutExpired:
            meanwhile()
    process.kill()
    return None
