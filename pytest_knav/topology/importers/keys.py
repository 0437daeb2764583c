"""Label keys that say where a node is, of every dialect that is known."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.dialects import DIALECTS
from pytest_knav.topology.model import LEVELS, Level


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Those that no dialect of ours writes: before Kubernetes 1.17; SageMaker HyperPod; OCI
# (NVIDIA/topograph, docs/reference/node-labels.md, "Without Topograph").
_MORE: Final = (
    (Level.REGION, "failure-domain.beta.kubernetes.io/region"),
    (Level.ZONE, "failure-domain.beta.kubernetes.io/zone"),
    (Level.NVLINK, "topology.k8s.aws/ultraserver-id"),
    (Level.SPINE, "oci.oraclecloud.com/host.network_block_id"),
    (Level.RACK, "oci.oraclecloud.com/host.rack_id"),
)
# The cluster-wide identifier says more than NVIDIA's, which Topograph may derive.
_LAST: Final = "nvidia.com/gpu.clique"
# What keys without a level of their own stand for, by how many there are.
_BY_NUMBER: Final = (Level.DATACENTER, Level.CORE, Level.SPINE, Level.LEAF, Level.RACK)
# One node each: no place that nodes share.
_OF_ONE_NODE: Final = "kubernetes.io/hostname"


def known_keys() -> tuple[tuple[Level, str], ...]:
    """Return pairs of a level and a key, the preferred key of a level first."""
    written = [pair for dialect in DIALECTS.values() for pair in dialect.levels]
    pairs = [pair for pair in [*written, *_MORE] if pair[1] != _LAST]
    return tuple(dict.fromkeys([*pairs, (Level.NVLINK, _LAST)]))


def keys_of(labels: Sequence[Mapping[str, str]]) -> dict[Level, str]:
    """Return for each level the known key that most nodes carry."""
    carried = Counter(key for one in labels for key, value in one.items() if value)
    best: dict[Level, str] = {}
    for level, key in known_keys():
        if carried[key] > (carried[best[level]] if level in best else 0):
            best[level] = key
    return {level: best[level] for level in LEVELS if level in best}


def keys_named(
    given: Iterable[str], labels: Sequence[Mapping[str, str]]
) -> dict[Level, str]:
    """
    Return the level of each key that a user named, widest first.

    Args:
        given: Keys, or `level=key`. Keys of zone and region have their own level;
            the others are the narrowest of datacenter, core, spine, leaf and rack.
        labels: Of all nodes.

    Raises:
        BadInput: No node has such a key, there is no such level, or there are too
            many.

    """
    words = [word for word in given if word != _OF_ONE_NODE]
    found: dict[str, Level] = {}
    fixed = {
        key: level
        for level, key in known_keys()
        if level in {Level.REGION, Level.ZONE, Level.NVLINK}
    }
    for word in words:
        name, _, key = word.rpartition("=")
        _check_carried(key, labels)
        if key in found:
            raise BadInput(f"--levels {word}: the key is named twice")
        if name and name not in LEVELS:
            raise BadInput(
                f"--levels {word}: there is no level {name!r}: use {', '.join(LEVELS)}"
            )
        if name:
            found[key] = Level(name)
        elif key in fixed:
            found[key] = fixed[key]
        else:
            found[key] = Level.RACK
    free = [w for w in words if "=" not in w and w not in fixed]
    if len(free) > len(_BY_NUMBER):
        raise BadInput(
            f"--levels: {len(free)} keys, at most {len(_BY_NUMBER)} of racks and "
            "switches are possible"
        )
    found |= dict(zip(free, _BY_NUMBER[len(_BY_NUMBER) - len(free) :], strict=True))
    return _by_level(found)


def _by_level(found: Mapping[str, Level]) -> dict[Level, str]:
    by_level: dict[Level, str] = {}
    for key, level in found.items():
        if level in by_level:
            raise BadInput(
                f"--levels: {by_level[level]} and {key} both stand for the level "
                f"{level}: write level=key, with one of {', '.join(LEVELS)}"
            )
        by_level[level] = key
    return {level: by_level[level] for level in LEVELS if level in by_level}


def _check_carried(key: str, labels: Sequence[Mapping[str, str]]) -> None:
    if any(key in one for one in labels):
        return
    there = sorted({key for one in labels for key in one if "topology" in key})
    raise BadInput(
        f"--levels {key}: no node has that label; about topology they have "
        f"{', '.join(there) or 'none'}"
    )
