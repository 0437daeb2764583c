"""What metrics-server shows: the numbers of `kubectl top`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.services.metrics_server import API_PATH
from pytest_knav.errors import ClusterError
from pytest_knav.topology.importers.quantities import amount


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pytest_knav.control_plane.api import Api

# What the smallest amounts may be off, whatever share that is: a millicore, a MiB.
_CORES: Final = 0.002
_BYTES: Final = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    What something uses.

    Attributes:
        cpu: Cores.
        memory: Bytes.

    """

    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.cpu * 1000:.0f}m cpu, {self.memory / 1024**2:.0f}Mi memory"

    def near(self, other: Usage, within: float) -> bool:
        """Return whether it is another one, but for a share of that."""
        return (
            abs(self.cpu - other.cpu) <= other.cpu * within + _CORES
            and abs(self.memory - other.memory) <= other.memory * within + _BYTES
        )


def seen_one(api: Api, path: str) -> Usage | None:
    """Return what metrics-server shows of a pod or node; None: nothing yet."""
    found = _read(api, path)
    return None if found is None else _total([found])


def seen_pods(
    api: Api, namespace: str, labels: Mapping[str, str], wanted: Collection[str]
) -> Usage | None:
    """
    Return what it shows of pods together; None as long as it does not know all.

    Args:
        api: The API server.
        namespace: Where they are.
        labels: Labels that they have.
        wanted: Their names.

    """
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = _read(api, f"namespaces/{namespace}/pods", labelSelector=selector)
    items = {} if found is None else {i["metadata"]["name"]: i for i in found["items"]}
    if not items.keys() >= set(wanted):
        return None
    return _total(items[name] for name in wanted)


def _read(api: Api, path: str, **params: str) -> dict[str, Any] | None:
    try:
        return api.get_or_none(f"{API_PATH}/{path}", **params)
    except ClusterError:
        # It is being started, or a test has killed it.
        return None


def _total(items: Iterable[Mapping[str, Any]]) -> Usage:
    parts = [one["usage"] for i in items for one in i.get("containers", [i])]
    return Usage(
        cpu=float(sum(amount(one["cpu"], "cpu") for one in parts)),
        memory=float(sum(amount(one["memory"], "memory") for one in parts)),
    )
