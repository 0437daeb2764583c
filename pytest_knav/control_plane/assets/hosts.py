"""
Hosts that could not be reached and files that do not exist, remembered for minutes.

Without a network every asset, every xdist worker and the next run would each wait for
the same time-outs again. The file is shared by all processes of the user.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pytest_knav.control_plane.assets.cache import assets_home


REMEMBERED_S: Final = 300.0

_FILE = "unreachable.json"


def why_not(url: str) -> str | None:
    """Return why a URL could not be had lately, or None when nothing speaks against."""
    entries = _load()
    entry = entries.get(url) or entries.get(_key(url))
    return entry[1] if entry else None


def remember(url: str, why: str, *, whole_host: bool) -> None:
    """Remember that a URL, or everything on its host, cannot be had."""
    entries = _load()
    entries[_key(url) if whole_host else url] = (time.time(), why)
    # Only saves time: a cache that cannot be written must not hide the real problem.
    with suppress(OSError):
        _store(entries)


def forget() -> None:
    """Forget all of it: somebody asked for a new try."""
    with suppress(OSError):
        (assets_home() / _FILE).unlink()


def _key(url: str) -> str:
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "directly")
    # A proxy's URL may hold a password; its host is enough to tell two apart.
    via = urlsplit(proxy).netloc.rpartition("@")[2] or proxy
    return f"{parts.scheme}://{parts.netloc} {via}"


def _load() -> dict[str, tuple[float, str]]:
    try:
        raw = json.loads((assets_home() / _FILE).read_text())
        entries = {str(key): (float(at), str(why)) for key, (at, why) in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    # Wall clock: the one clock that processes share and that outlives a reboot. An
    # entry from the future is one from before the clock was set.
    now = time.time()
    return {key: e for key, e in entries.items() if 0 <= now - e[0] < REMEMBERED_S}


def _store(entries: dict[str, tuple[float, str]]) -> None:
    home = assets_home()
    home.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".unreachable.", dir=home)
    with os.fdopen(handle, "w") as file:
        json.dump(entries, file)
    Path(name).replace(home / _FILE)
