"""
What a topology file may hold, for pydantic: its errors, and a JSON Schema for editors.

Kept apart so that nothing else loads pydantic.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pytest_knav.topology.model import Level


Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
# What Kubernetes takes: apimachinery/pkg/util/validation. The name of a node is an RFC
# 1123 subdomain, a key of a label has one before its slash.
_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
NodeName = Annotated[str, Field(pattern=f"^{_DNS}$", max_length=253)]
Key = Annotated[str, Field(pattern=f"^({_DNS}/)?{_WORD}$")]
Value = Annotated[str, Field(pattern=f"^({_WORD})?$")]
# Resources in amounts, never negative; an empty one takes a resource away.
Quantity = Annotated[
    str,
    Field(pattern=r"^([0-9]+(\.[0-9]*)?([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?)?$"),
]
# What Kubernetes takes as a label's value; names of places become such.
PlaceName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)
]
Places = dict[Level, PlaceName]
Labels = dict[Key, Value]
Amounts = dict[Key, Count | Quantity]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GpuFile(_Strict):
    """A kind of GPU."""

    product: str
    vendor: Literal["nvidia", "amd"] = "nvidia"
    family: str = ""
    resource: str = "nvidia.com/gpu"
    memory_mib: Positive
    power_w: Count = 0
    compute: str = ""
    scale_up_gbps: Count = 0


class GpuSlotFile(_Strict):
    """Where a GPU sits."""

    numa: Count = 0
    pcie_root: Count = 0
    nic: Count | None = None


class NicSlotFile(_Strict):
    """Where a NIC sits, and how fast it is."""

    numa: Count = 0
    pcie_root: Count = 0
    gbps: Positive = 400
    rail: Count | None = None


class MachineFile(_Strict):
    """A kind of machine; `like` takes everything that is not said from a preset's."""

    name: str | None = None
    like: str | None = None
    cpus: Positive | None = None
    memory_gib: Positive | None = None
    pods: Positive | None = None
    storage_gib: Count | None = None
    gpu: str | GpuFile | None = None
    gpus: Count | list[GpuSlotFile] | None = None
    nics: Count | list[NicSlotFile] | None = None
    numa_nodes: Positive | None = None
    nvswitches: Count | None = None
    mig: dict[str, Positive] | None = None
    labels: Labels | None = None


class TaintFile(_Strict):
    """A taint of a node."""

    key: Key
    value: Value = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class _Shared(_Strict):
    machine: str
    places: Places = {}
    uplinks: str | list[str | None] | None = None
    power_feeds: list[str] = []
    power_needed: Positive = 1
    labels: Labels = {}
    annotations: dict[str, str] = {}
    taints: list[TaintFile] = []
    capacity: Amounts = {}
    allocatable: Amounts = {}


class NodeFile(_Shared):
    """One node."""

    name: NodeName
    nvlink_domain: str | None = None
    gpu_uuids: list[str] = []


class PoolFile(_Shared):
    """Nodes that are alike, named `<name>-0000` and so on."""

    name: NodeName
    count: Positive
    nodes_per_rack: Positive | None = None


class SwitchFile(_Strict):
    """A switch; its uplinks are switches of a wider level, with Gbit/s."""

    name: PlaceName
    level: Literal["leaf", "spine", "core"]
    uplinks: dict[str, Positive] = {}
    rail: Count | None = None


class TopologyFile(_Strict):
    """A topology: a preset at a size, or pools, or every node by name."""

    name: PlaceName
    source: str = "a file"
    notes: list[str] = []
    preset: str | None = None
    nodes: Positive | list[NodeFile] | None = None
    machines: dict[str, MachineFile] = {}
    pools: list[PoolFile] = []
    switches: list[SwitchFile] = []
    nvswitches: dict[str, Positive] = {}
    labels: Labels = {}
    taints: list[TaintFile] = []
    dialects: list[str | dict[Level, str]] | None = None
    dra: bool = False
    load: str | None = None
