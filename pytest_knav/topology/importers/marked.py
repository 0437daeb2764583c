"""YAML and JSON with the line of each part, for messages that point at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

from pytest_knav.errors import BadInput


_KINDS: Final[dict[type, str]] = {dict: "a mapping", list: "a list", str: "a text"}


@dataclass(frozen=True, slots=True)
class Marked:
    """
    A part of a file.

    Attributes:
        value: A dict or list of `Marked`, or a text; None for nothing.
        path: The file.
        line: The line it begins at, from 1.
        field: How to get there: `[0].tree.switches[2].nodes`.

    """

    value: Any
    path: str
    line: int
    field: str

    @property
    def at(self) -> str:
        """Return where it is, for messages."""
        return (
            f"{self.path}:{self.line}: {self.field}"
            if self.field
            else (f"{self.path}:{self.line}")
        )

    def mapping(self, *allowed: str) -> dict[str, Marked]:
        """
        Return it as a mapping with no other keys than those allowed; none: any.

        Raises:
            BadInput: It is none, or a key is unknown.

        """
        found: dict[str, Marked] = self._as(dict)
        unknown = [key for key in found if allowed and key not in allowed]
        if unknown:
            raise BadInput(
                f"{found[unknown[0]].at}: there is no field {unknown[0]!r}: use "
                f"{', '.join(allowed)}"
            )
        return found

    def items(self) -> list[Marked]:
        """
        Return it as a list.

        Raises:
            BadInput: It is none.

        """
        found: list[Marked] = self._as(list)
        return found

    def text(self) -> str:
        """
        Return it as a text; numbers are as they are written.

        Raises:
            BadInput: It is none, or empty.

        """
        found: str = self._as(str)
        if not found:
            raise BadInput(f"{self.at} is empty")
        return found

    def need(self, key: str) -> Marked:
        """
        Return a field of a mapping that must be there.

        Raises:
            BadInput: It is not.

        """
        found = self.mapping().get(key)
        if found is None:
            raise BadInput(f"{self.at}: the field {key!r} is missing")
        return found

    def _as(self, kind: type) -> Any:  # noqa: ANN401 - by kind
        if not isinstance(self.value, kind):
            found = "nothing" if self.value is None else _KINDS[type(self.value)]
            raise BadInput(f"{self.at} is {found}, {_KINDS[kind]} is needed")
        return self.value


def parse(text: str, path: str) -> Marked:
    """
    Return what is in a file.

    Raises:
        BadInput: It is no YAML, or a key is there twice; with the line.

    """
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        detail = getattr(error, "problem", None) or str(error)
        raise BadInput(f"{path}{line}: no YAML: {detail}") from None
    if root is None:
        raise BadInput(f"{path} is empty")
    return _marked(root, path, "")


def _marked(node: yaml.Node, path: str, field: str) -> Marked:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Marked] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                raise BadInput(
                    f"{path}:{key.start_mark.line + 1}: {field}: {name!r} is there "
                    "twice"
                )
            found[name] = _marked(value, path, f"{field}.{name}".lstrip("."))
        return Marked(found, path, line, field)
    if isinstance(node, yaml.SequenceNode):
        items = [_marked(v, path, f"{field}[{i}]") for i, v in enumerate(node.value)]
        return Marked(items, path, line, field)
    empty = node.tag == "tag:yaml.org,2002:null"
    return Marked(None if empty else str(node.value), path, line, field)
