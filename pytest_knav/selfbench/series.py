"""What a scrape of the GPUs of a large cluster costs; no cluster is needed."""

from __future__ import annotations

import math
import socket
import urllib.request
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError
from pytest_knav.history import History, Record
from pytest_knav.metrics import Exporter, GpuSignals, Source
from pytest_knav.metrics.exporter import GPU_PATH
from pytest_knav.topology import make_topology


if TYPE_CHECKING:
    from collections.abc import Mapping

NODES: Final = 1_000
GPUS: Final = 8 * NODES
_TIMEOUT_S: Final = 60.0


class _Load:
    """A load that changes from one scrape to the next, for every GPU."""

    def gpu_percent(
        self, pod: tuple[str, str] | None, node: str, gpu: int, now_s: float
    ) -> float:
        """Return what a GPU is used."""
        del pod, node
        return 50 + 40 * math.sin(now_s + gpu)


class Scrape:
    """One scrape of every GPU, as Prometheus makes it, all values new."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._exporter = Exporter(port)

    def prepare(self) -> None:
        """Serve 1,000 nodes with a pod each, and let the first scrape be over."""
        history = _history()
        source = Source(
            topology=make_topology("dgx-h100", NODES),
            history=lambda: history,
            signals=GpuSignals(),
            load=_Load(),
            served=lambda _: True,
        )
        self._exporter.start()
        self._exporter.serve(source)
        self.act()

    def act(self) -> None:
        """
        Scrape.

        Raises:
            HarnessError: A GPU has no series.

        """
        url = f"http://127.0.0.1:{self._exporter.port}{GPU_PATH}"
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            page = answer.read()
        found = page.count(b"\nDCGM_FI_DEV_GPU_UTIL{")
        if found != GPUS:
            raise HarnessError(f"{found} of {GPUS} GPUs have a series")

    def close(self) -> None:
        """Stop serving."""
        self._exporter.close()


def _history() -> History:
    history = History()
    for number in range(NODES):
        node = f"dgx-h100-{number:04d}"
        _add(history, 2 * number + 1, "Node", {"metadata": {"name": node}})
        container = {"name": "c", "resources": {"limits": {"nvidia.com/gpu": "8"}}}
        pod: dict[str, dict[str, object]] = {
            "metadata": {"name": f"p-{number}", "namespace": "default"},
            "spec": {"nodeName": node, "containers": [container]},
            "status": {"phase": "Running"},
        }
        _add(history, 2 * number + 2, "Pod", pod)
    return history


def _add(
    history: History, revision: int, kind: str, data: Mapping[str, Mapping[str, object]]
) -> None:
    name = str(data["metadata"]["name"])
    record = Record(
        revision=revision,
        monotonic=0.0,
        wall=0.0,
        verb="ADDED",
        kind=kind,
        namespace=str(data["metadata"].get("namespace", "")),
        name=name,
        uid=name,
        data=dict(data),
    )
    history.add(record)
