"""GPUs and the machines that hold them, with the figures of their vendors."""

from __future__ import annotations

from typing import Final

from pytest_knav.topology.machine import GpuModel, GpuSlot, Machine, NicSlot


# NVIDIA H100 datasheet (SXM5: 80 GB, 700 W, 900 GB/s NVLink in both directions);
# memory as nvidia-smi reports it.
H100: Final = GpuModel(
    product="NVIDIA-H100-80GB-HBM3",
    vendor="nvidia",
    family="hopper",
    resource="nvidia.com/gpu",
    memory_mib=81559,
    power_w=700,
    compute="9.0",
    scale_up_gbps=3600,
)
# NVIDIA A100 datasheet (SXM4: 80 GB, 400 W, 600 GB/s NVLink in both directions).
A100: Final = GpuModel(
    product="NVIDIA-A100-SXM4-80GB",
    vendor="nvidia",
    family="ampere",
    resource="nvidia.com/gpu",
    memory_mib=81920,
    power_w=400,
    compute="8.0",
    scale_up_gbps=2400,
)
# NVIDIA GB200 NVL72 datasheet (a GPU: 186 GB, 1,200 W, 1.8 TB/s NVLink in both
# directions).
GB200: Final = GpuModel(
    product="NVIDIA-GB200",
    vendor="nvidia",
    family="blackwell",
    resource="nvidia.com/gpu",
    memory_mib=189471,
    power_w=1200,
    compute="10.0",
    scale_up_gbps=7200,
)
# AMD Instinct MI300X datasheet (192 GB, 750 W, 7 Infinity Fabric links of 128 GB/s in
# both directions).
MI300X: Final = GpuModel(
    product="AMD_Instinct_MI300X_OAM",
    vendor="amd",
    family="cdna3",
    resource="amd.com/gpu",
    memory_mib=196592,
    power_w=750,
    scale_up_gbps=3584,
)


# DGX H100 user guide: two Xeon 8480C with 56 cores each, 2 TiB, four NVSwitches,
# eight ConnectX-7 of 400 Gbit/s. Kubernetes counts hardware threads.
DGX_H100: Final = Machine(
    name="dgx-h100",
    cpus=224,
    memory_gib=2048,
    gpu=H100,
    gpus=tuple(GpuSlot(numa=i // 4, pcie_root=i, nic=i) for i in range(8)),
    nics=tuple(NicSlot(numa=i // 4, pcie_root=i, gbps=400, rail=i) for i in range(8)),
    numa_nodes=2,
    nvswitches=4,
)
# DGX A100 user guide: two EPYC 7742 with 64 cores each in four NUMA nodes a socket,
# 2 TiB, six NVSwitches, eight ConnectX-6 of 200 Gbit/s for the compute fabric.
DGX_A100: Final = Machine(
    name="dgx-a100",
    cpus=256,
    memory_gib=2048,
    gpu=A100,
    # Two GPUs share a PCIe switch, and every second NUMA node has one.
    gpus=tuple(
        GpuSlot(numa=numa, pcie_root=i // 2, nic=i)
        for i, numa in enumerate((3, 3, 1, 1, 7, 7, 5, 5))
    ),
    nics=tuple(
        NicSlot(numa=numa, pcie_root=i // 2, gbps=200, rail=i)
        for i, numa in enumerate((3, 3, 1, 1, 7, 7, 5, 5))
    ),
    numa_nodes=8,
    nvswitches=6,
)
# The same with each GPU cut in seven (NVIDIA MIG user guide, profile 1g.10gb of an
# A100 with 80 GB).
DGX_A100_MIG: Final = Machine(
    name="dgx-a100-mig",
    cpus=DGX_A100.cpus,
    memory_gib=DGX_A100.memory_gib,
    gpu=A100,
    gpus=DGX_A100.gpus,
    nics=DGX_A100.nics,
    numa_nodes=DGX_A100.numa_nodes,
    nvswitches=DGX_A100.nvswitches,
    mig=(("1g.10gb", 7),),
)
# NVIDIA HGX H100 baseboard in a two-socket server: the GPUs of a DGX H100, NICs of
# 400 Gbit/s Ethernet without rails.
HGX_H100: Final = Machine(
    name="hgx-h100",
    cpus=192,
    memory_gib=2048,
    gpu=H100,
    gpus=DGX_H100.gpus,
    nics=tuple(NicSlot(numa=i // 4, pcie_root=i, gbps=400) for i in range(8)),
    numa_nodes=2,
    nvswitches=4,
)
# NVIDIA GB200 NVL72: a compute tray has two Grace CPUs of 72 cores (one thread each)
# with 480 GB each, four GPUs, and four ConnectX-7 of 400 Gbit/s.
GB200_TRAY: Final = Machine(
    name="gb200-nvl72",
    cpus=144,
    memory_gib=892,
    gpu=GB200,
    gpus=tuple(GpuSlot(numa=i // 2, pcie_root=i, nic=i) for i in range(4)),
    nics=tuple(NicSlot(numa=i // 2, pcie_root=i, gbps=400, rail=i) for i in range(4)),
    numa_nodes=2,
    labels=(("kubernetes.io/arch", "arm64"),),
)
# AMD Instinct MI300X platform: eight GPUs, each linked to every other; a server with
# two EPYC of 96 cores, 2.3 TiB and eight NICs of 400 Gbit/s.
MI300X_SERVER: Final = Machine(
    name="mi300x",
    cpus=384,
    memory_gib=2304,
    gpu=MI300X,
    gpus=DGX_H100.gpus,
    nics=DGX_H100.nics,
    numa_nodes=2,
)
# An ordinary two-socket server.
CPU_SERVER: Final = Machine(
    name="cpu",
    cpus=128,
    memory_gib=512,
    nics=(NicSlot(gbps=100),),
    numa_nodes=2,
)
