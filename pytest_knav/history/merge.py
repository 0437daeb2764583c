"""
JSON merge patches (RFC 7386) between two states of one object.

A merge patch uses null to say "remove", so it cannot say that a value *is* null.
Kubernetes writes such values (``creationTimestamp: null`` in every pod template).
`normalise` therefore drops them at intake: the API defines an absent field and a null
field to be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias


JsonObject: TypeAlias = Mapping[str, Any]

_DROPPED = frozenset({"apiVersion", "kind"})


def normalise(raw: JsonObject) -> dict[str, Any]:
    """
    Return an object of the API as history keeps it.

    Without nulls (see above), without ``metadata.managedFields`` (half of a pod's
    bytes, and no scheduler reads them), and without the top-level ``apiVersion`` and
    ``kind``: a watch sends them and a list does not, and the record has the kind.
    """
    kept = {key: value for key, value in raw.items() if key not in _DROPPED}
    metadata = kept.get("metadata")
    if isinstance(metadata, Mapping):
        kept["metadata"] = {k: v for k, v in metadata.items() if k != "managedFields"}
    return strip_nulls(kept)


def strip_nulls(value: JsonObject) -> dict[str, Any]:
    """Return the object without members that are null, at any depth."""
    return {key: _stripped(item) for key, item in value.items() if item is not None}


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
        if isinstance(before, Mapping) and isinstance(value, Mapping):
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
        elif isinstance(value, Mapping):
            before = new.get(key)
            base = before if isinstance(before, Mapping) else {}
            new[key] = merge_apply(base, value)
        else:
            new[key] = value
    return new


def _stripped(value: object) -> object:
    if isinstance(value, Mapping):
        return strip_nulls(value)
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return value
