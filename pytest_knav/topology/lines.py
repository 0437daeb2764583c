"""Where a value stands in a YAML file, so that an error can point at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Lines:
    """
    A YAML file with the line of each value.

    Args:
        path: For messages.
        text: What it holds.

    Attributes:
        data: What it holds, as plain values.

    Raises:
        BadInput: It is not YAML, or no mapping, or has a key twice.

    """

    def __init__(self, path: Path, text: str, example: str = "name: …") -> None:
        self._path = path
        try:
            self._root = yaml.compose(text, Loader=yaml.CSafeLoader)
            self.data: Any = yaml.load(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise BadInput(f"{path} is not YAML: {error}") from error
        if not isinstance(self._root, yaml.MappingNode):
            raise BadInput(f"{path} holds no fields: write `{example}` and so on")
        self._refuse_doubles(self._root)

    def place_of(self, way: Sequence[Any]) -> tuple[int, str]:
        """Return line and field of a value, or of the closest thing that is there."""
        node, line = self._root, 1
        field = ""
        for step in way:
            found = _child(node, step)
            if found is None:
                # pydantic names the branch of a union where there is one: no field.
                if isinstance(node, yaml.MappingNode) and isinstance(step, str):
                    field += f".{step}" if _is_field(step) else ""
                continue
            node, line = found
            field += f"[{step}]" if isinstance(step, int) else f".{step}"
        return line, field.removeprefix(".")

    def fail(self, place: tuple[int, str], message: str) -> NoReturn:
        """Raise BadInput with the file, the line and the field."""
        line, field = place
        at = f"{field}: " if field else ""
        raise BadInput(f"{self._path}, line {line}: {at}{message}")

    def _refuse_doubles(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._refuse_doubles(item)
        elif isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if key.value in seen:
                    place = key.start_mark.line + 1, str(key.value)
                    self.fail(place, "the key stands there twice")
                seen.add(key.value)
                self._refuse_doubles(value)


def _is_field(step: str) -> bool:
    return step.isidentifier() and step.islower()


def _child(node: Any, step: Any) -> tuple[Any, int] | None:  # noqa: ANN401 - YAML nodes
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if (
        isinstance(node, yaml.SequenceNode)
        and isinstance(step, int)
        and step < len(node.value)
    ):
        found = node.value[step]
        return found, found.start_mark.line + 1
    return None
