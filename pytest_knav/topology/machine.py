"""What one kind of machine has inside: GPUs, NICs, NUMA nodes, PCIe roots."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """
    A GPU as its vendor sells it.

    Attributes:
        product: As GPU feature discovery names it: `NVIDIA-H100-80GB-HBM3`.
        vendor: `nvidia` or `amd`.
        family: The architecture: `hopper`.
        resource: The extended resource that one of it is: `nvidia.com/gpu`.
        memory_mib: Memory that the driver reports, in MiB.
        power_w: Thermal design power, in watts.
        compute: Compute capability of CUDA, `9.0`; empty for other vendors.
        scale_up_gbps: NVLink or Infinity Fabric bandwidth of one GPU to its domain,
            one direction, in Gbit/s; 0 where there is none.

    """

    product: str
    vendor: str
    family: str
    resource: str
    memory_mib: int
    power_w: int
    compute: str = ""
    scale_up_gbps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSlot:
    """Where the GPU of an index sits: its NUMA node, PCIe root, and nearest NIC."""

    numa: int = 0
    pcie_root: int = 0
    nic: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NicSlot:
    """
    Where the NIC (InfiniBand: HCA) of an index sits.

    Attributes:
        gbps: Its line rate, one direction, in Gbit/s.
        rail: The rail it belongs to, where the fabric has rails.

    """

    numa: int = 0
    pcie_root: int = 0
    gbps: int = 400
    rail: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """
    A kind of machine; thousands of nodes share one.

    Attributes:
        name: The value of `node.kubernetes.io/instance-type`.
        cpus: What Kubernetes counts: hardware threads.
        pods: The most pods that its kubelet takes.
        gpus: One slot for each GPU, by index.
        nics: One slot for each NIC of the compute fabric, by index.
        numa_nodes: How many NUMA nodes it has.
        nvswitches: NVSwitches inside the machine; those of a rack belong to its
            NVLink domain instead.
        mig: MIG profiles that each GPU is cut into, as pairs of profile and number
            (`("1g.10gb", 7)`); empty where GPUs are whole.
        labels: Labels that every node of this kind carries.

    """

    name: str
    cpus: int
    memory_gib: int
    pods: int = 110
    storage_gib: int = 1024
    gpu: GpuModel | None = None
    gpus: tuple[GpuSlot, ...] = ()
    nics: tuple[NicSlot, ...] = ()
    numa_nodes: int = 1
    nvswitches: int = 0
    mig: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def pcie_roots(self) -> tuple[int, ...]:
        """Return the numbers of the PCIe roots that have a GPU or a NIC."""
        roots = {gpu.pcie_root for gpu in self.gpus}
        return tuple(sorted(roots | {nic.pcie_root for nic in self.nics}))

    @property
    def fabric_gbps(self) -> int:
        """Return the bandwidth of all NICs together, one direction, in Gbit/s."""
        return sum(nic.gbps for nic in self.nics)
