"""Which system a name, a file or a value means."""

from __future__ import annotations

import functools
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.systems.model import System


if TYPE_CHECKING:
    from collections.abc import Callable

#: The stock kube-scheduler alone.
STOCK: Final = "stock"
_YAML: Final = (".yaml", ".yml")


def find_system(wanted: object, directory: Path) -> System | None:
    """
    Return the system that is meant; None for the stock scheduler alone.

    Args:
        wanted: A `System`; `stock`; the path of a YAML file; or `FILE.py`,
            `FILE.py:NAME` for a value, or a function that returns it, of a Python file.
        directory: What relative paths are relative to.

    Raises:
        BadInput: There is no such file, or it holds something else.

    """
    if wanted is None or isinstance(wanted, System):
        return wanted
    if not isinstance(wanted, str | Path):
        raise BadInput(f"system={wanted!r}: give a System, a file, or {STOCK!r}")
    text = str(wanted)
    if text in {"", STOCK}:
        return None
    file, _, name = text.partition(".py:")
    path = (directory / (f"{file}.py" if name else text)).expanduser().resolve()
    if path.suffix not in {*_YAML, ".py"}:
        raise BadInput(
            f"system={text!r}: give {STOCK!r}, the path of a .yaml file, or FILE.py or "
            "FILE.py:NAME"
        )
    if not path.is_file():
        raise BadInput(f"system={text!r}: there is no file {path}")
    return _read(path, name, path.stat().st_mtime_ns)


def called(function: Callable[..., Any], where: str) -> System | None:
    """
    Return the system of a user's fixture `knav_system`.

    Raises:
        BadInput: It takes arguments, or returns something else.

    """
    return _checked(_call(function, where), where)


@functools.lru_cache(maxsize=32)
def _read(path: Path, name: str, _stamp: int) -> System | None:
    if path.suffix in _YAML:
        from pytest_knav.systems.file import load_system  # noqa: PLC0415 - pydantic

        return load_system(path)
    found = runpy.run_path(str(path))
    values = {k: v for k, v in found.items() if not k.startswith("_")}
    if name:
        if name not in values:
            raise BadInput(f"system={path}:{name}: the file has no {name!r}")
        value = values[name]
    else:
        systems = {k: v for k, v in values.items() if isinstance(v, System)}
        if len(systems) != 1:
            raise BadInput(
                f"system={path}: it has {len(systems)} Systems "
                f"({', '.join(systems) or 'none'}): say which: {path.name}:NAME"
            )
        (value,) = systems.values()
    if callable(value) and not isinstance(value, System):
        value = _call(value, f"{path}:{name}")
    return _checked(value, f"{path}:{name}")


@functools.lru_cache(maxsize=32)
def _call(function: Callable[..., Any], where: str) -> object:
    # A test's needs are known before any test runs, so no fixture can be asked.
    if function.__code__.co_argcount:
        raise BadInput(
            f"{where} takes arguments: what a test needs is known before any fixture "
            "runs, so let it take none, not even request"
        )
    return function()


def _checked(value: object, where: str) -> System | None:
    if value is None or isinstance(value, System):
        return value
    raise BadInput(f"{where} gives {value!r}: give a System, or None for {STOCK!r}")
