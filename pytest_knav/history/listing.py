"""Lists of the API, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.history.connection import JSON, ApiError


if TYPE_CHECKING:
    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.resources import Resource
    from pytest_knav.history.transport import Transport

PAGE_OBJECTS: Final = 500
PAGES_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a resource at one revision, as the apiserver sent them."""

    revision: int
    objects: list[JsonObject]


def list_all(
    transport: Transport,
    resource: Resource,
    *,
    at_revision: int | None = None,
    accept: str = JSON,
    timeout_s: float | None = None,
) -> Listing:
    """
    Return the objects as they are now (a consistent read), or as they were.

    Raises:
        ApiError: 410 if the revision asked for is compacted.
        ConnectionLost: There was no answer.

    """
    params = {**resource.selection, "limit": str(PAGE_OBJECTS)}
    if at_revision is not None:
        params["resourceVersion"] = str(at_revision)
        params["resourceVersionMatch"] = "Exact"
    objects: list[JsonObject] = []
    for _ in range(PAGES_MAX):
        page = transport.get(resource.path, params, accept=accept, timeout_s=timeout_s)
        objects.extend(page.get("items") or ())
        metadata = page["metadata"]
        token = metadata.get("continue")
        if not token:
            return Listing(int(metadata["resourceVersion"]), objects)
        # The token carries the revision; saying both is an error.
        params = {
            **resource.selection,
            "limit": str(PAGE_OBJECTS),
            "continue": token,
        }
    raise ApiError(200, "TooLarge", f"{resource.path} has more than {PAGES_MAX} pages")


def uid_of(raw: JsonObject) -> str:
    """Return the uid of an object of the API."""
    return str(raw["metadata"]["uid"])


def revision_of(raw: JsonObject) -> int:
    """Return the etcd revision of the last change of an object of the API."""
    return int(raw["metadata"]["resourceVersion"])
