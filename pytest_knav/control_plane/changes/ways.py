"""
Values inside an object of the API, found by fields and by the keys of list items.

A way such as ``("spec", "taints", {"key": "xid", "effect": "NoExecute"})`` leads to one
taint, whatever stands before it in the list: so a fault and its undo touch what is
theirs, and nothing that others wrote meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias


Step: TypeAlias = str | Mapping[str, Any]
Way: TypeAlias = tuple[Step, ...]


def value_at(found: object, way: Sequence[Step]) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value that a way leads to, or None where there is none."""
    for step in way:
        if isinstance(step, str):
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        else:
            found = _item(found, step)
        if found is None:
            return None
    return found


def with_value(found: object, way: Sequence[Step], value: object) -> Any:  # noqa: ANN401
    """
    Return an object with another value at the end of a way; None takes it away.

    Nothing given is changed. What is missing on the way is made; a list item that is
    missing is appended with the fields it is found by. To take away what is not there
    changes nothing.
    """
    if not way:
        return value
    step, rest = way[0], way[1:]
    if isinstance(step, str):
        return _with_field(found, step, rest, value)
    return _with_item(found, step, rest, value)


def holds(found: object, wanted: object) -> bool:
    """
    Return whether a value is the wanted one; a mapping may have more fields than it.

    The API server and others add to what was written: defaults, times, owners.
    """
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            holds(found.get(key), value) for key, value in wanted.items()
        )
    return found == wanted


def _with_field(
    found: object, name: str, rest: Sequence[Step], value: object
) -> object:
    before = dict(found) if isinstance(found, Mapping) else {}
    inner = with_value(before.get(name), rest, value)
    if inner is None:
        before.pop(name, None)
        if found is None and not before:
            return None
    else:
        before[name] = inner
    return before


def _with_item(
    found: object, keys: Mapping[str, Any], rest: Sequence[Step], value: object
) -> object:
    items = list(found) if isinstance(found, list | tuple) else []
    at = next((i for i, item in enumerate(items) if holds(item, keys)), None)
    inner = with_value(None if at is None else items[at], rest, value)
    if at is None:
        if inner is not None:
            items.append({**keys, **inner})
    elif inner is None:
        del items[at]
    else:
        items[at] = inner
    return None if found is None and not items else items


def _item(found: object, keys: Mapping[str, Any]) -> object:
    if not isinstance(found, list | tuple):
        return None
    return next((item for item in found if holds(item, keys)), None)


def way_text(way: Sequence[Step]) -> str:
    """Return a way as people write it: `spec.taints[key=xid]`."""
    parts = [
        f".{step}"
        if isinstance(step, str)
        else f"[{','.join(f'{key}={value}' for key, value in step.items())}]"
        for step in way
    ]
    return "".join(parts).removeprefix(".")
