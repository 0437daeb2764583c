"""
The plain side: kwokctl by its own commands and with its own defaults.

One setting differs: every component listens on loopback alone, because an etcd without
authentication is nothing to show to the network. The cluster is written down in the
registry like one of ours, so that even a kill leaves nothing that is not found again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import registry
from pytest_knav.control_plane.api import Api, read_kubeconfig
from pytest_knav.errors import ClusterError
from pytest_knav.selfbench.tool import Tool


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav.control_plane.plane import Binaries
    from pytest_knav.control_plane.registry import ClusterEntry

_CONFIG: Final = """\
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokctlConfiguration
options:
  bindAddress: 127.0.0.1
"""
_BINARY_FLAGS: Final = {
    "etcd": "--etcd-binary",
    "kube-apiserver": "--kube-apiserver-binary",
    "kube-controller-manager": "--kube-controller-manager-binary",
    "kube-scheduler": "--kube-scheduler-binary",
    "kwok": "--kwok-controller-binary",
}
# The GPUs that a node of ours has as well.
_GPUS: Final = '--param=.allocatable."nvidia.com/gpu"="8"'
_CREATE_TIMEOUT_S: Final = 180.0
_TIMEOUT_S: Final = 60.0


class PlainCluster:
    """
    A cluster of plain kwokctl.

    Args:
        name: Its name on this machine.
        binaries: What to run.

    """

    def __init__(self, name: str, binaries: Binaries) -> None:
        self.name = name
        self._binaries = binaries
        self._entry: ClusterEntry | None = None
        self._api: Api | None = None

    @property
    def workdir(self) -> Path:
        """Return kwokctl's directory of the cluster: pids and logs."""
        return registry.clusters_home() / self.name / "kwok" / "clusters" / self.name

    @property
    def api(self) -> Api:
        """Return the way to its API."""
        if self._api is None:
            raise ClusterError(f"cluster {self.name!r} is not there")
        return self._api

    @property
    def tool(self) -> Tool:
        """Return kwokctl for it."""
        if self._entry is None:
            raise ClusterError(f"cluster {self.name!r} is not there")
        return Tool(binaries=self._binaries, entry=self._entry)

    def create(self) -> None:
        """Make it, and return when kwokctl says that it is ready."""
        if self._entry is None:
            self._entry = registry.claim(self.name, owned=True)
        entry = self._entry
        config = entry.directory / "kwokctl.yaml"
        config.write_text(_CONFIG)
        binaries = [
            f"{flag}={self._binaries.paths[name]}"
            for name, flag in _BINARY_FLAGS.items()
        ]
        self.tool.run(
            "create", "cluster", "--runtime=binary", "--wait=60s",
            f"--kubeconfig={entry.kubeconfig}", f"--config={config}", *binaries,
            timeout_s=_CREATE_TIMEOUT_S,
        )  # fmt: skip
        self._api = Api(read_kubeconfig(entry.kubeconfig))

    def scale_nodes(self, count: int, meanwhile: Callable[[], None]) -> None:
        """Make nodes by `kwokctl scale node`."""
        limit_s = _TIMEOUT_S + count * 0.1
        self.tool.scale("node", count, _GPUS, timeout_s=limit_s, meanwhile=meanwhile)

    def save(self, path: Path) -> None:
        """Save it by `kwokctl snapshot save`, in the format that needs no download."""
        self.tool.run(
            "snapshot", "save", "--format=k8s", f"--path={path}",
            timeout_s=_CREATE_TIMEOUT_S,
        )  # fmt: skip

    def delete(self) -> None:
        """Remove it by `kwokctl delete cluster`; harmless when there is none."""
        if self._api is not None:
            self._api.close()
            self._api = None
        if self._entry is not None:
            kubeconfig = f"--kubeconfig={self._entry.kubeconfig}"
            self.tool.run("delete", "cluster", kubeconfig, timeout_s=_TIMEOUT_S)

    def close(self) -> None:
        """End every process and remove every file of it, whatever kwokctl says."""
        try:
            self.delete()
        finally:
            entry, self._entry = self._entry, None
            if entry is not None:
                registry.remove(entry)
