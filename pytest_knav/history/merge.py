"""
JSON merge patches (RFC 7386) between two states of one object.

A merge patch uses null to say "remove", so it cannot say that a value *is* null.
Kubernetes writes such values (``creationTimestamp: null`` in every pod template).
`normalise` therefore drops them at intake: the API defines an absent field and a null
field to be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias


JsonObject: TypeAlias = Mapping[str, Any]

DROPPED: Final = frozenset({"apiVersion", "kind"})
"""Members of an object that the history does not keep."""
UNREAD: Final = frozenset({"managedFields"})
"""Members of its metadata that the history does not keep."""


def normalise(raw: JsonObject) -> dict[str, Any]:
    """
    Return an object of the API as history keeps it.

    It comes without nulls (see above), without ``metadata.managedFields`` (half of a
    pod's bytes, and no scheduler reads them), and without the top-level ``apiVersion``
    and ``kind``: a watch sends them and a list does not, and the record has the kind.
    What is nested in `raw` becomes the history's.
    """
    kept = {key: value for key, value in raw.items() if key not in DROPPED}
    metadata = kept.get("metadata")
    if isinstance(metadata, dict):
        kept["metadata"] = {k: v for k, v in metadata.items() if k not in UNREAD}
    drop_nulls(kept)
    return kept


def drop_nulls(value: dict[str, Any]) -> None:
    """Remove members that are null from an object, at any depth, in place."""
    # Most values are plain: a call for each of them would be most of the time.
    empty = [key for key, item in value.items() if item is None]
    for key in empty:
        del value[key]
    for item in value.values():
        if type(item) is dict:
            drop_nulls(item)
        elif type(item) is list:
            _drop_in(item)


def merge_diff(old: JsonObject, new: JsonObject) -> dict[str, Any]:
    """
    Return the smallest merge patch that turns `old` into `new`.

    Both must be free of null members. Arrays are replaced whole.
    """
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
            continue
        before = old[key]
        if isinstance(before, dict) and isinstance(value, dict):
            inner = merge_diff(before, value)
            if inner:
                patch[key] = inner
        elif type(before) is not type(value) or before != value:
            patch[key] = value
    return patch


def merge_apply(old: JsonObject, patch: JsonObject) -> dict[str, Any]:
    """
    Return `old` with the merge patch applied; neither argument is changed.

    What the patch does not name is shared with `old`, not copied, so a thousand
    versions of a pod cost little more than one.
    """
    new = dict(old)
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict):
            before = new.get(key)
            base = before if isinstance(before, dict) else {}
            new[key] = merge_apply(base, value)
        else:
            new[key] = value
    return new


def _drop_in(items: list[Any]) -> None:
    for item in items:
        if type(item) is dict:
            drop_nulls(item)
        elif type(item) is list:
            _drop_in(item)
