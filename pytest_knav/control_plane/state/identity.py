"""Which object a stored value is: another one can have the same name."""

from __future__ import annotations

import json
from typing import Final

from pytest_knav.control_plane.state import wire


# Of each object its ObjectMeta, and of that the uid (generated.proto).
_METADATA, _UID = 1, 5
_NO_UID: Final = ""


def same_object(one: bytes, other: bytes) -> bool:
    """
    Return whether two stored values are states of one object, by its uid.

    What has none, such as a range of addresses, is one object by its key.
    """
    uid = uid_of(one)
    # To look for it costs much less than to take ten thousand objects apart. A value
    # that names the uid elsewhere is of something that belongs to the object, and has
    # another key.
    return uid.encode() in other or uid == uid_of(other)


def uid_of(stored: bytes) -> str:
    """Return the uid of a stored object, empty where it has none."""
    if not stored.startswith(wire.MAGIC):
        return str(json.loads(stored).get("metadata", {}).get("uid", _NO_UID))
    return (wire.first(wire.unpack(stored), _METADATA, _UID) or b"").decode()
