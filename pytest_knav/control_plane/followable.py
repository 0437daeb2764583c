"""What else of a cluster can be recorded on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.history.resources import DEFAULT_RESOURCES, Resource


if TYPE_CHECKING:
    from pytest_knav.control_plane.api import Api
    from pytest_knav.control_plane.discovery import Discovery

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def followable(discovery: Discovery, api: Api, version: str, plural: str) -> Resource:
    """
    Return how a resource is followed, in every namespace.

    Its kind is told with its group: Volcano has a Job as well.

    Raises:
        BadInput: The cluster serves no such thing, or it cannot be watched.

    """
    kind, served = discovery.named(version, plural)
    if not {"list", "watch"} <= served.verbs:
        raise BadInput(f"{plural!r} of {version!r} cannot be watched")
    # Without a namespace in it, the path is that of the objects in all of them.
    base = f"/apis/{version}" if served.group else f"/api/{version}"
    path = f"{base}/{plural}"
    for usual in DEFAULT_RESOURCES:
        if usual.path == path:
            return usual
    prefix = ""
    if served.group and api.get_or_none(f"{_CRDS}/{plural}.{served.group}"):
        # Where custom resources are (apiextensions-apiserver, crdRESTOptionsGetter);
        # those that are built in may be elsewhere.
        prefix = f"/registry/{served.group}/{plural}/"
    name = f"{kind}.{served.group}" if served.group else kind
    return Resource(name, path, etcd_prefix=prefix)
