"""What a dialect is: label keys for levels, and labels about the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.topology.model import Level, NodeSpec

VALUE_LENGTH_MAX: Final = 63
# apimachinery, pkg/util/validation/validation.go: LabelValueMaxLength and its pattern.
_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


def _nothing(_: NodeSpec) -> Mapping[str, str]:
    return {}


def _as_it_is(_: Level, name: str) -> str:
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    The labels that one program, or one cloud, writes onto nodes.

    Attributes:
        name: What a topology file or `labelled` asks for it by.
        title: Who writes such labels, in a few words.
        source: Where the keys are written down.
        levels: Pairs of a level and the label key that carries the place's name.
        about: Returns further labels of a node, about the machine.
        value: Returns the label's value for a level and the name of a place.
        default: Whether it is written when nobody says which.
        whole: Whether all of its levels must be there, because whoever reads it
            ignores a node that lacks one of its labels.

    """

    name: str
    title: str
    source: str
    levels: tuple[tuple[Level, str], ...] = ()
    about: Callable[[NodeSpec], Mapping[str, str]] = _nothing
    value: Callable[[Level, str], str] = _as_it_is
    default: bool = False
    whole: bool = False

    def labels(self, node: NodeSpec) -> dict[str, str]:
        """
        Return the labels of a node in this dialect.

        Raises:
            BadInput: A value is one that Kubernetes would refuse.

        """
        labels = dict(self.about(node))
        places = dict(node.places)
        for level, key in self.levels:
            if level in places:
                labels[key] = self.value(level, places[level])
                check_value(labels[key], f"dialect {self.name}, level {level}", key)
        return labels


def check_value(value: str, what: str, key: str) -> None:
    """
    Return when Kubernetes takes a label's value.

    Raises:
        BadInput: It would refuse it; with what it stands for, key, value and rule.

    """
    if len(value) > VALUE_LENGTH_MAX:
        raise BadInput(
            f"{what}: the label {key} cannot be {value!r}: it has {len(value)} "
            f"characters, at most {VALUE_LENGTH_MAX} are allowed"
        )
    if not _VALUE.fullmatch(value):
        raise BadInput(
            f"{what}: the label {key} cannot be {value!r}: letters, digits, '-', '_' "
            "and '.' are allowed, the first and last a letter or digit"
        )
