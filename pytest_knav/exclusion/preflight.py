"""Whether a controller can begin: its rights, and what its selector says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.exclusion.api import NODES


if TYPE_CHECKING:
    from pytest_knav.exclusion.api import AnyCluster
    from pytest_knav.exclusion.settings import Settings

_ACCESS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_NEEDED: Final = (
    ("list", "pods", ""),
    ("watch", "pods", ""),
    ("list", "nodes", ""),
    ("watch", "nodes", ""),
    ("get", "nodes", ""),
    ("patch", "nodes", ""),
    ("patch", "nodes", "status"),
    ("create", "events", ""),
)


def check(api: AnyCluster, settings: Settings) -> None:
    """
    Return when a controller can begin; nothing is changed.

    Raises:
        BadInput: The selector matches no node, or says nothing.
        ClusterError: The user may not do what it needs, or nobody answers.

    """
    for verb, resource, sub in _NEEDED:
        if settings.dry_run and verb in {"get", "patch", "create"}:
            continue
        _check_allowed(api, verb, resource, sub)
    selector = settings.selector
    if not selector:
        return
    found, _ = api.list(NODES, labelSelector=selector)
    everyone, _ = api.list(NODES)
    if not found:
        raise BadInput(
            f"selector {selector!r} matches none of {len(everyone)} nodes: see "
            "kubectl get nodes --show-labels"
        )
    if len(found) == len(everyone):
        raise BadInput(
            f"selector {selector!r} matches every one of {len(everyone)} nodes, so "
            "it protects none: leave it away to look after all of them"
        )


def _check_allowed(api: AnyCluster, verb: str, resource: str, sub: str) -> None:
    attributes = {"verb": verb, "resource": resource, "subresource": sub}
    if resource == "events":
        attributes["namespace"] = "default"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    if not api.post(_ACCESS, body).get("status", {}).get("allowed"):
        what = f"{resource}/{sub}" if sub else resource
        raise ClusterError(
            f"{api.server}: you may not {verb} {what}: nothing was changed; "
            "ask for that right, or try --dry-run"
        )
