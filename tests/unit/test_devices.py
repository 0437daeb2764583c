"""GPUs as devices: what drivers of dynamic resource allocation publish."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_knav import Gang, Pod
from pytest_knav.control_plane.fits import check_fits
from pytest_knav.errors import BadInput
from pytest_knav.topology import GpuModel, GpuSlot, Topology, make_topology
from pytest_knav.topology.devices import (
    DEVICES_MAX,
    device_classes,
    device_names,
    gpu_of_device,
    resource_slices,
    with_dra,
)
from pytest_knav.topology.manifests import amount_of, node_manifest, whole


TOPOLOGY = make_topology("dgx-h100", 2)
MACHINE = TOPOLOGY.nodes[0].machine
MI300X = GpuModel(
    product="AMD_Instinct_MI300X_OAM",
    vendor="amd",
    family="AI",
    resource="amd.com/gpu",
    memory_mib=196_592,
    power_w=750,
)


def of_machine(**changes: Any) -> Topology:
    """Return a topology of other machines."""
    machine = replace(MACHINE, **changes)
    nodes = tuple(replace(node, machine=machine) for node in TOPOLOGY.nodes)
    return replace(TOPOLOGY, nodes=nodes)


def devices(topology: Topology) -> list[dict[str, Any]]:
    """Return the devices of the first node."""
    slices = resource_slices(topology.nodes[0], "uid")
    return [device for one in slices for device in one["spec"]["devices"]]


def test_with_dra_a_gpu_can_be_had_in_one_way_only() -> None:
    """Else a pod could take the same GPU twice."""
    node = with_dra(TOPOLOGY).nodes[0]

    manifest = node_manifest(node, {})

    assert (
        "nvidia.com/gpu" in node_manifest(TOPOLOGY.nodes[0], {})["status"]["capacity"]
    )
    for part in ("capacity", "allocatable"):
        assert not [name for name in manifest["status"][part] if "gpu" in name]
    assert node.gpus == 8


def test_amounts_of_an_imported_node_go_as_well() -> None:
    """What a node said of its GPUs is replaced, the rest of what it said stays."""
    said = (("nvidia.com/gpu", "7"), ("rdma/hca", "8"))
    nodes = (replace(TOPOLOGY.nodes[0], capacity=said, allocatable=said),)

    made = node_manifest(with_dra(replace(TOPOLOGY, nodes=nodes)).nodes[0], {})[
        "status"
    ]

    assert made["capacity"]["rdma/hca"] == made["allocatable"]["rdma/hca"] == "8"
    assert "nvidia.com/gpu" not in made["capacity"] | made["allocatable"]


def test_dra_makes_another_fingerprint() -> None:
    """A beginning with devices is never taken for one without."""
    assert with_dra(TOPOLOGY).fingerprint != TOPOLOGY.fingerprint
    assert replace(TOPOLOGY, dra=True).fingerprint != TOPOLOGY.fingerprint


def test_a_slice_belongs_to_its_node() -> None:
    """One pool, named after the node, which owns the slice."""
    node = TOPOLOGY.nodes[1]

    [one] = resource_slices(node, "the-uid")

    [owner] = one["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == (
        "Node",
        node.name,
        "the-uid",
    )
    assert one["spec"]["nodeName"] == one["spec"]["pool"]["name"] == node.name
    assert one["spec"]["pool"]["resourceSliceCount"] == 1
    assert one["spec"]["driver"] == "gpu.nvidia.com"
    assert [d["name"] for d in one["spec"]["devices"]] == [f"gpu-{i}" for i in range(8)]


def test_a_device_says_what_and_where_it_is() -> None:
    """In the driver's words, and where its slot in the machine is."""
    device = devices(TOPOLOGY)[5]

    attributes = device["attributes"]
    assert attributes["uuid"] == {"string": TOPOLOGY.nodes[0].gpu(5).uuid}
    assert attributes["productName"] == {"string": "NVIDIA H100 80GB HBM3"}
    assert attributes["architecture"] == {"string": "Hopper"}
    assert attributes["cudaComputeCapability"] == {"version": "9.0.0"}
    assert attributes["numaNode"] == {"int": 1}
    assert attributes["resource.kubernetes.io/pcieRoot"] == {"string": "pci0000:50"}
    assert attributes["nvlinkDomain"] == {"string": "dgx-h100-0000/nvlink"}
    assert device["capacity"] == {"memory": {"value": "81559Mi"}}


def test_no_two_gpus_share_an_address() -> None:
    """Also not behind one PCIe root, nor with more roots than a domain has."""
    slots = tuple(GpuSlot(pcie_root=i // 2) for i in range(64))

    made = devices(of_machine(gpus=slots))

    addresses = [
        d["attributes"]["resource.kubernetes.io/pciBusID"]["string"] for d in made
    ]
    roots = [d["attributes"]["resource.kubernetes.io/pcieRoot"]["string"] for d in made]
    assert len(set(addresses)) == 64
    assert len(set(roots)) == 32
    assert roots[0] == roots[1] != roots[2]


@pytest.mark.parametrize("product", ["NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3"])
def test_the_product_is_what_the_driver_calls_it(product: str) -> None:
    """A label has dashes for spaces; the dashes of the name itself stay."""
    gpu = replace(MACHINE.gpu, product=product.replace(" ", "-"))  # type: ignore[type-var]

    made = devices(of_machine(gpu=gpu))[0]

    assert made["attributes"]["productName"] == {"string": product}


@pytest.mark.parametrize(("gpus", "parts"), [(64, [64]), (65, [64, 1])])
def test_many_devices_are_split_over_slices(gpus: int, parts: list[int]) -> None:
    """At the most that a slice may have whose devices can be tainted."""
    slots = tuple(GpuSlot(pcie_root=i) for i in range(gpus))

    made = resource_slices(of_machine(gpus=slots).nodes[0], "uid")

    assert DEVICES_MAX == 64
    assert [len(one["spec"]["devices"]) for one in made] == parts
    assert {one["spec"]["pool"]["resourceSliceCount"] for one in made} == {len(parts)}
    assert len({one["metadata"]["name"] for one in made}) == len(parts)


def test_a_long_domain_fits_into_an_attribute() -> None:
    """It is named by a digest then, the same for all of the domain."""
    node = replace(TOPOLOGY.nodes[0], nvlink_domain="x" * 65)

    made = devices(replace(TOPOLOGY, nodes=(node,)))

    values = {d["attributes"]["nvlinkDomain"]["string"] for d in made}
    assert len(values) == 1
    assert len(values.pop()) <= 64


def test_gpus_that_are_cut_are_devices_by_part() -> None:
    """The GPU itself is none then; its parts say whose they are."""
    cut = of_machine(mig=(("1g.10gb", 4), ("3g.40gb", 1)))

    made = devices(cut)

    names = [device["name"] for device in made]
    first = made[4]["attributes"]
    assert len(set(names)) == len(names) == 8 * 5
    assert first["type"] == {"string": "mig"}
    assert first["profile"] == {"string": "3g.40gb"}
    assert first["parentUUID"] == {"string": cut.nodes[0].gpu(0).uuid}
    assert made[4]["capacity"] == {"memory": {"value": "40960Mi"}}
    assert len({d["attributes"]["uuid"]["string"] for d in made}) == 40
    assert device_names(cut.nodes[0], [7]) == names[-5:]


def test_amds_driver_names_its_own_attributes() -> None:
    """By card and render node."""
    amd = of_machine(gpu=MI300X)

    made = devices(amd)[3]

    assert made["name"] == "gpu-3-131"
    assert made["attributes"]["type"] == {"string": "amdgpu"}
    assert made["attributes"]["renderIndex"] == {"int": 131}
    assert "cudaComputeCapability" not in made["attributes"]
    [one] = device_classes(amd)
    assert one["metadata"]["name"] == "gpu.amd.com"
    assert one["spec"]["extendedResourceName"] == "amd.com/gpu"


def test_requests_for_amounts_are_served_by_a_class() -> None:
    """NVIDIA's chart has it so: the same workloads run, with devices behind them."""
    served = {
        one["spec"].get("extendedResourceName"): one["metadata"]["name"]
        for one in device_classes(of_machine(mig=(("1g.10gb", 7),)))
    }

    assert served == {
        "nvidia.com/gpu": "gpu.nvidia.com",
        None: "mig.nvidia.com",
        "nvidia.com/mig-1g.10gb": "mig-1g.10gb.nvidia.com",
    }


@pytest.mark.parametrize(
    ("device", "gpu"),
    [
        (("gpu.nvidia.com", "n1", "gpu-5"), "n1/gpu-5"),
        (("gpu.nvidia.com", "n1", "gpu-5-mig-1g10gb-19-0"), "n1/gpu-5"),
        (("gpu.amd.com", "n1", "gpu-3-131"), "n1/gpu-3"),
        (("dra.net", "n1", "gpu-5"), "n1/gpu-5"),
        (("dra.net", "n1", "eth0"), "n1/eth0"),
    ],
)
def test_a_device_stands_for_a_gpu(device: tuple[str, str, str], gpu: str) -> None:
    """Whole or cut; a device of another driver is named after its pool."""
    assert gpu_of_device(*device) == gpu


def test_dra_needs_gpus_of_a_known_driver() -> None:
    """Else nothing would publish them."""
    other = replace(MI300X, vendor="intel")

    with pytest.raises(BadInput, match="'dgx-h100' has no GPUs"):
        with_dra(of_machine(gpu=None, gpus=()))
    with pytest.raises(
        BadInput, match=r"dgx-h100-0001 has GPUs of 'intel'.*nvidia, amd"
    ):
        with_dra(of_machine(gpu=other))


def test_devices_are_json() -> None:
    """They go to the API server as they are."""
    assert json.loads(json.dumps(devices(TOPOLOGY))) == devices(TOPOLOGY)


class TestAmounts:
    """What pods can have, and whether a workload can ever run."""

    def test_a_node_says_what_differs_from_its_machine(self) -> None:
        """More, less, or none at all; allocatable is as capacity where it is silent."""
        node = replace(
            TOPOLOGY.nodes[0],
            capacity=(("cpu", "200"), ("rdma/hca", "8"), ("nvidia.com/gpu", "")),
            allocatable=(("cpu", "190500m"), ("rdma/hca", "")),
        )

        status = node_manifest(node, {})["status"]

        assert status["capacity"]["cpu"] == "200"
        assert status["allocatable"]["cpu"] == "190500m"
        assert status["capacity"]["rdma/hca"] == "8"
        assert "rdma/hca" not in status["allocatable"]
        assert "nvidia.com/gpu" not in status["capacity"] | status["allocatable"]
        assert status["allocatable"]["memory"] == status["capacity"]["memory"]

    def test_taints_and_annotations_are_the_nodes_own(self) -> None:
        """A taint without a value has none."""
        node = replace(
            TOPOLOGY.nodes[0],
            taints=(("gpu", "h100", "NoSchedule"), ("spot", "", "NoExecute")),
            annotations=(("example.org/a", "x y"),),
        )

        made = node_manifest(node, {})

        assert made["spec"]["taints"] == [
            {"key": "gpu", "value": "h100", "effect": "NoSchedule"},
            {"key": "spot", "effect": "NoExecute"},
        ]
        assert made["metadata"]["annotations"]["example.org/a"] == "x y"

    def test_gpus_that_are_cut_are_counted_by_profile(self) -> None:
        """And no longer as GPUs."""
        node = of_machine(mig=(("1g.10gb", 7),)).nodes[0]

        amounts = node_manifest(node, {})["status"]["allocatable"]

        assert amounts["nvidia.com/mig-1g.10gb"] == "56"
        assert "nvidia.com/gpu" not in amounts

    @pytest.mark.parametrize(
        ("capacity", "allocatable", "amount"),
        [
            ((), (), 8),
            ((("nvidia.com/gpu", "4"),), (), 4),
            ((("nvidia.com/gpu", "4"),), (("nvidia.com/gpu", "3"),), 3),
            ((("nvidia.com/gpu", ""),), (), 0),
            ((), (("nvidia.com/gpu", "0"),), 0),
        ],
    )
    def test_allocatable_counts(
        self, capacity: Any, allocatable: Any, amount: int
    ) -> None:
        """It wins over capacity, and that over the machine."""
        node = replace(TOPOLOGY.nodes[0], capacity=capacity, allocatable=allocatable)

        assert amount_of(node, "nvidia.com/gpu") == amount

    @pytest.mark.parametrize(
        ("quantity", "number"),
        [("8", 8), ("1k", 1000), ("2Ki", 2048), ("", 0), ("x", 0)],
    )
    def test_whole_quantities_are_read(self, quantity: str, number: int) -> None:
        """With the suffixes that Kubernetes knows."""
        assert whole(quantity) == number

    def test_a_workload_that_fits_is_taken(self) -> None:
        """As amounts and as devices alike."""
        for topology in (TOPOLOGY, with_dra(TOPOLOGY)):
            check_fits(Gang("g", replicas=2, gpus_per_pod=8), topology)
            check_fits(Pod("p"), topology)

    @pytest.mark.parametrize("dra", [False, True])
    def test_whole_gpus_of_cut_ones_are_refused(self, *, dra: bool) -> None:
        """With what there is instead."""
        cut = of_machine(mig=(("1g.10gb", 7),))
        topology = with_dra(cut) if dra else cut

        with pytest.raises(
            BadInput, match=r"no node of dgx-h100 has any nvidia.com/gpu; they have "
            r"nvidia.com/mig-1g.10gb: ask for those with a Manifest",
        ):  # fmt: skip
            check_fits(Pod("p", gpus_per_pod=1), topology)

    def test_what_nodes_said_they_lack_does_not_count(self) -> None:
        """Two nodes of which one has lost half of its GPUs have twelve."""
        lost = replace(TOPOLOGY.nodes[0], allocatable=(("nvidia.com/gpu", "4"),))
        topology = replace(TOPOLOGY, nodes=(lost, TOPOLOGY.nodes[1]))

        check_fits(Gang("g", replicas=3, gpus_per_pod=4), topology)
        with pytest.raises(BadInput, match="the cluster has 12"):
            check_fits(Gang("g", replicas=4, gpus_per_pod=4), topology)
