"""Targets among links: NICs and NVLink domains, by the nodes that they are part of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput
from pytest_knav.faults.targets import Target, around


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind, Placed


def nic_of(where: Placed | str, index: int | None = None) -> Target:
    """
    Return one NIC of the compute fabric, of a node or of one of a workload's nodes.

    Args:
        where: The name of a node, or a handle: then one of its nodes is chosen by the
            seed.
        index: Which of its NICs; on machines with rails the number of the rail. By
            default one is chosen by the seed.

    """
    if index is not None and (
        isinstance(index, bool) or not isinstance(index, int) or index < 0
    ):
        raise BadInput(f"nic_of(index={index!r}): give the number of a NIC, from 0")
    every = around(
        where,
        "nic_of",
        "nic",
        lambda _, node: [f"{node.name}/nic-{i}" for i in range(len(node.machine.nics))],
    )

    def resolver(world: World, choose: random.Random, kind: Kind) -> Sequence[str]:
        found = every.resolver(world, choose, kind)
        if not found:
            return ()
        if index is None:
            return (choose.choice(found),)
        if index >= len(found):
            raise BadInput(
                f"nic_of(…, {index}): {found[0].rpartition('/')[0]} has {len(found)} "
                "NICs"
            )
        return (found[index],)

    text = every.text if index is None else f"{every.text[:-1]}, {index})"
    return Target(text=text, kind="nic", resolver=resolver)


def nvlink_of(where: Placed | str) -> Target:
    """Return the NVLink domain of a node, or of one of a workload's nodes."""
    return around(
        where,
        "nvlink_of",
        "nvlink",
        lambda _, node: [node.nvlink_domain] if node.nvlink_domain else [],
    )
