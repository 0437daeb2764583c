"""
Assets: the binaries of the control plane, found, fetched or built when asked for.

`AssetStore` is the way in. `table` pins the versions and says where each asset can come
from; `cache` keeps what was got; `download` and `build` get it.
"""

from __future__ import annotations

from pytest_knav.control_plane.assets.progress import (
    Progress,
    Silent,
    Step,
    StreamProgress,
)
from pytest_knav.control_plane.assets.store import AssetStatus, AssetStore
from pytest_knav.control_plane.assets.table import (
    ALL,
    CONTROL_PLANE,
    ON_REQUEST,
)


__all__ = [
    "ALL",
    "CONTROL_PLANE",
    "ON_REQUEST",
    "AssetStatus",
    "AssetStore",
    "Progress",
    "Silent",
    "Step",
    "StreamProgress",
]
