"""Prometheus' text format: families of lines, put together from cached parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, its type, and what it says."""

    name: str
    type: Literal["gauge", "counter"]
    help: str

    @property
    def head(self) -> str:
        """Return the two lines that come before its samples."""
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.type}\n"


def labels(*pairs: tuple[str, str]) -> str:
    """Return labels as they stand in braces, escaped."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs)


def escape(value: str) -> str:
    """Return the value of a label as the format wants it."""
    return value.translate(_ESCAPES)


def page(families: Sequence[Family], parts: Iterable[Sequence[str]]) -> str:
    """
    Return the text of some families.

    Args:
        families: In the order of the page.
        parts: For each thing that has samples, one text a family, in their order.

    """
    columns = list(zip(*parts, strict=True))
    texts = []
    for family, column in zip(families, columns, strict=bool(columns)):
        texts += [family.head, *column]
    return "".join(texts)
