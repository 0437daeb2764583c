"""What stands in a system's arguments and files for what is only known at its start."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KNOWN: Final = re.compile(
    r"\{(dir|kubeconfig|certs|server|port(?::[a-z0-9][-a-z0-9]*)?)\}"
)
_PORT_LIKE: Final = re.compile(r"\{port:([^}]*)\}")


def check_placeholders(what: str, text: object) -> None:
    """
    Return when a text's placeholders can be filled in.

    Raises:
        BadInput: It is no text, or names a port in a way that nothing can match.

    """
    if not isinstance(text, str):
        raise BadInput(f"{what}: {text!r} is no text")
    for name in _PORT_LIKE.findall(text):
        if not _KNOWN.fullmatch(f"{{port:{name}}}"):
            raise BadInput(
                f"{what}: {{port:{name}}}: name a port with lower-case letters, "
                "digits and dashes"
            )


def fill(text: str, values: Mapping[str, str], port: Callable[[str], int]) -> str:
    """
    Return a text with its placeholders filled in; other braces stay.

    Args:
        text: The text.
        values: `dir`, `kubeconfig`, `certs`, `server`.
        port: Returns the number of a port by its name; empty for the process's own.

    """

    def replacement(found: re.Match[str]) -> str:
        kind, _, name = found.group(1).partition(":")
        return str(port(name)) if kind == "port" else values[kind]

    return _KNOWN.sub(replacement, text)
