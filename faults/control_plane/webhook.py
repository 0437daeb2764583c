"""An admission webhook that nobody answers any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes import Create, Edit, ObjectRef, Refusing
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.control_plane.objects import OfObjects


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.faults.base import World

_NAME: Final = "pytest-knav-webhook-down"
_KINDS: Final = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
_OPERATIONS: Final = ("CREATE", "UPDATE", "DELETE", "CONNECT", "*")
# Where the control plane itself lives: an operator excludes these too (Kubernetes,
# admission webhook good practices, "avoid operating on the kube-system namespace").
_SPARED: Final = ("kube-system", "kube-node-lease", "kube-public")
_TIMEOUT_S: Final = 5
# Of the service tcpmux (RFC 1078), which nobody runs: connections are refused.
_NOBODY: Final = "https://127.0.0.1:1/"


@dataclass(frozen=True, slots=True)
class WebhookDown(OfObjects):
    """
    An admission webhook does not answer, and what it should admit is refused.

    Changes: given a resource, a ValidatingWebhookConfiguration with failurePolicy Fail
    is made that leads to a port where nobody listens; given a configuration that is
    there, its webhooks lead to that port. The API server answers 500 (`failed calling
    webhook`). Objects in kube-system, kube-node-lease and kube-public are spared, and
    so are configurations of webhooks (by the API server), so that it can be undone.

    Args:
        target: Resources as `pods`, `pods/binding` or `jobs.batch`, or the name of a
            Validating- or MutatingWebhookConfiguration.
        operations: Which operations on the resources are refused.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="api",
        signals=("webhook",),
        stands_for="the manager behind a webhook is dead, unreachable, or not yet up",
        source="Kubernetes, admission webhook good practices; seen with Kueue, JobSet "
        "and Volcano after a SIGKILL of their managers",
        certifies="that members which cannot be made now are made when it answers",
        does_not_certify="a webhook that hangs until its timeout, or answers wrongly",
        undone="the configuration is deleted, or leads again to where it led",
    )

    operations: Sequence[str] = ("CREATE",)

    def __post_init__(self) -> None:
        OfObjects.__post_init__(self)
        given = self.operations
        wrong = [o for o in given if o not in _OPERATIONS]
        if isinstance(given, str) or not given or wrong:
            raise BadInput(
                f"WebhookDown(operations={given!r}): give some of "
                f"{', '.join(_OPERATIONS)}, such as ('CREATE',)"
            )
        object.__setattr__(self, "operations", tuple(given))

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return what leads to nobody: a configuration of ours, or those there are."""
        plane = world.plane
        found: list[Change] = []
        rules = []
        for target in targets:
            ref = configuration_of(plane, target)
            if ref is None:
                rules.append(rule_of(plane, target, self.operations))
            else:
                found += _led_astray(plane, ref)
        if rules:
            ref = ObjectRef(kind=_KINDS[0], name=_NAME)
            body = _body(rules)
            found.append(Create(ref=ref, body=body, signal="webhook"))
            found.append(Refusing(signal="webhook"))
        return found


def configuration_of(plane: ControlPlane, name: str) -> ObjectRef | None:
    for kind in _KINDS:
        ref = ObjectRef(kind=kind, name=name)
        # A name of a subresource has a slash, and no object is called so.
        if "/" not in name and plane.api.get_or_none(ref.path) is not None:
            return ref
    return None


def _led_astray(plane: ControlPlane, ref: ObjectRef) -> list[Change]:
    hooks = plane.api.get(ref.path).get("webhooks", ())
    if not hooks:
        raise BadInput(f"WebhookDown({ref.name!r}): it has no webhooks")
    return [
        Edit(
            ref=ref,
            way=("webhooks", {"name": hook["name"]}, "clientConfig"),
            value={"url": _NOBODY},
            signal="webhook",
        )
        for hook in hooks
    ]


def rule_of(
    plane: ControlPlane, target: str, operations: Sequence[str]
) -> dict[str, Any]:
    """Return the rule that a resource such as `jobs.batch` means."""
    resource, _, group = target.partition(".")
    version, served = _served(plane, group)
    if resource not in served:
        near = ", ".join(sorted(r for r in served if "/" not in r))
        raise BadInput(
            f"WebhookDown({target!r}): no configuration of webhooks has that name, and "
            f"the API group {group or 'core'!r} serves no such resource: "
            f"use one of {near or 'another group'}"
        )
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": [resource],
        "operations": list(operations),
        "scope": "*",
    }


def _served(plane: ControlPlane, group: str) -> tuple[str, frozenset[str]]:
    path, version = "/api/v1", "v1"
    if group:
        found: Mapping[str, Any] = plane.api.get_or_none(f"/apis/{group}") or {}
        version = found.get("preferredVersion", {}).get("version", "")
        path = f"/apis/{group}/{version}"
        if not version:
            return "", frozenset()
    listed = plane.api.get(path)["resources"]
    return version, frozenset(r["name"] for r in listed)


def _body(rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    hook: dict[str, Any] = {
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": _NOBODY},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": _TIMEOUT_S,
        "matchPolicy": "Equivalent",
    }
    spared = {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": list(_SPARED),
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": _KINDS[0],
        "metadata": {"name": _NAME},
        "webhooks": [
            {
                **hook,
                "name": "down.pytest-knav.invalid",
                "rules": list(rules),
                "namespaceSelector": {"matchExpressions": [spared]},
            },
            # By this one it is seen that the API server goes by the configuration.
            {**hook, "name": "probe.pytest-knav.invalid", **Refusing.selection()},
        ],
    }
