"""What is recorded: which lists of the API are followed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Resource:
    """
    A list of the API that is followed.

    Attributes:
        kind: What its objects are called in the history.
        path: Of the list, such as ``/api/v1/pods``.
        optional: An apiserver that does not serve it is no error.
        etcd_prefix: Where the apiserver keeps its objects in etcd. With it, and with
            etcd's address, a broken watch can be filled; without it, only if few
            revisions passed.
        field_selector: Restricts the list.

    """

    kind: str
    path: str
    optional: bool = False
    etcd_prefix: str = ""
    field_selector: str = ""

    @property
    def selection(self) -> dict[str, str]:
        """The query parameters that restrict the list."""
        return {"fieldSelector": self.field_selector} if self.field_selector else {}

    def one(self, namespace: str, name: str) -> Resource:
        """Return the list of one object, which the apiserver reads by its key."""
        path = self.path
        if namespace and "/namespaces/" not in path:
            group, _, plural = path.rpartition("/")
            path = f"{group}/namespaces/{namespace}/{plural}"
        return replace(self, path=path, field_selector=f"metadata.name={name}")


# Leases are recorded for nodes alone: the others are leader elections, renewed every
# two seconds by every component for nobody to judge.
NODE_LEASES: Final = Resource(
    "Lease",
    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    etcd_prefix="/registry/leases/kube-node-lease/",
)

DEFAULT_RESOURCES: Final = (
    Resource("Pod", "/api/v1/pods", etcd_prefix="/registry/pods/"),
    Resource("Node", "/api/v1/nodes", etcd_prefix="/registry/minions/"),
    Resource("Job", "/apis/batch/v1/jobs", etcd_prefix="/registry/jobs/"),
    Resource(
        "Deployment",
        "/apis/apps/v1/deployments",
        etcd_prefix="/registry/deployments/",
    ),
    Resource(
        "ReplicaSet",
        "/apis/apps/v1/replicasets",
        etcd_prefix="/registry/replicasets/",
    ),
    NODE_LEASES,
    Resource("Event", "/api/v1/events", etcd_prefix="/registry/events/"),
    Resource(
        "PodGroup",
        "/apis/scheduling.k8s.io/v1alpha2/podgroups",
        optional=True,
        etcd_prefix="/registry/podgroups/",
    ),
    Resource(
        "ResourceClaim",
        "/apis/resource.k8s.io/v1/resourceclaims",
        optional=True,
        etcd_prefix="/registry/resourceclaims/",
    ),
    Resource(
        "ResourceSlice",
        "/apis/resource.k8s.io/v1/resourceslices",
        optional=True,
        etcd_prefix="/registry/resourceslices/",
    ),
)
