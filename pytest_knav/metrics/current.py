"""The newest state of recorded objects, and what changed since the last look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_knav.history import History
    from pytest_knav.history.merge import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is new or different, by uid, and the uids of what is gone."""

    changed: Mapping[str, JsonObject]
    gone: Collection[str]


class Current:
    """The objects of one kind; a look costs little where little has changed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.objects: Mapping[str, JsonObject] = {}

    def look(self, history: History) -> Changes:
        """Take over what the history knows now; return what that changes."""
        before, self.objects = self.objects, history.latest(self.kind)
        # A history never changes an object in place: it puts another in its stead.
        changed = {
            uid: found
            for uid, found in self.objects.items()
            if before.get(uid) is not found
        }
        return Changes(changed=changed, gone=before.keys() - self.objects.keys())
