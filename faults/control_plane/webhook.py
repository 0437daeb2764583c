"""Admission webhooks that the API server cannot ask any more."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane import certificates
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
class _OfWebhook(OfObjects):
    """What faults share by which the API server cannot ask a webhook."""

    operations: Sequence[str] = ("CREATE",)

    def __post_init__(self) -> None:
        OfObjects.__post_init__(self)
        given = self.operations
        wrong = [o for o in given if o not in _OPERATIONS]
        if isinstance(given, str) or not given or wrong:
            raise BadInput(
                f"{type(self).__name__}(operations={given!r}): give some of "
                f"{', '.join(_OPERATIONS)}, such as ('CREATE',)"
            )
        object.__setattr__(self, "operations", tuple(given))

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the configurations that there are, changed, or one of ours."""
        plane = world.plane
        found: list[Change] = []
        rules = []
        for target in targets:
            ref = _configuration(plane, target)
            if ref is None:
                rules.append(self._rule(plane, target))
            else:
                found += self._broken(ref, _webhooks(self.name, plane, ref))
        if rules:
            ref = ObjectRef(kind=_KINDS[0], name=_NAME)
            body = _body(rules, self._client_config(plane))
            found.append(Create(ref=ref, body=body, signal="webhook"))
            found.append(Refusing(because=self._because(), signal="webhook"))
        return found

    @abstractmethod
    def _broken(self, ref: ObjectRef, hooks: Sequence[Mapping[str, Any]]) -> list[Edit]:
        """Return what breaks the webhooks of a configuration that is there."""

    @abstractmethod
    def _client_config(self, plane: ControlPlane) -> Mapping[str, Any]:
        """Return where a webhook of ours leads, for resources that are named."""

    def _because(self) -> str:
        """Return what the API server says beside that the call failed."""
        return ""

    def _rule(self, plane: ControlPlane, target: str) -> dict[str, Any]:
        """Return the rule that a resource such as `jobs.batch` means."""
        resource, _, group = target.partition(".")
        version, served = _served(plane, group)
        if resource not in served:
            near = ", ".join(sorted(r for r in served if "/" not in r))
            raise BadInput(
                f"{type(self).__name__}({target!r}): no configuration of webhooks has "
                f"that name (there are {_names(plane)}), and the API group "
                f"{group or 'core'!r} serves no such resource: use one of "
                f"{near or 'another group'}"
            )
        return {
            "apiGroups": [group],
            "apiVersions": [version],
            "resources": [resource],
            "operations": list(self.operations),
            "scope": "*",
        }


@dataclass(frozen=True, slots=True)
class WebhookDown(_OfWebhook):
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

    def _broken(self, ref: ObjectRef, hooks: Sequence[Mapping[str, Any]]) -> list[Edit]:
        """Return that each of its webhooks leads to nobody."""
        return [
            Edit(
                ref=ref,
                way=("webhooks", {"name": hook["name"]}, "clientConfig"),
                value={"url": _NOBODY},
                signal="webhook",
            )
            for hook in hooks
        ]

    def _client_config(self, plane: ControlPlane) -> Mapping[str, Any]:
        """Return that it leads to nobody."""
        del plane
        return {"url": _NOBODY}


@dataclass(frozen=True, slots=True)
class WebhookCertificateExpired(_OfWebhook):
    """
    The certificates behind an admission webhook have expired: nobody renewed them.

    Changes: given a configuration that is there, the authorities in the `caBundle` of
    its webhooks are the same with an end in the past, so that the API server refuses
    whatever the webhook serves; its process goes on and hears nothing. Given a
    resource, a ValidatingWebhookConfiguration with failurePolicy Fail is made whose
    webhook is served with such a certificate. The API server answers 500 (`x509:
    certificate has expired`). What is spared is as in `WebhookDown`. A connection that
    the API server has open to the webhook is not used again.

    Args:
        target: The name of a Validating- or MutatingWebhookConfiguration, or resources
            as `pods`, `pods/binding` or `jobs.batch`.
        operations: Which operations on the resources are refused.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="api",
        signals=("webhook",),
        stands_for="a self-signed webhook certificate or its authority that ended, a "
        "cert-manager that is down or no longer injects",
        source="Kubernetes, dynamic admission control (caBundle); cert-manager, "
        "cainjector; Go, crypto/x509 Certificate.Verify",
        certifies="that work which cannot be made meanwhile is made after the renewal, "
        "and that what runs goes on",
        does_not_certify="that the manager renews its certificate by itself",
        undone="the authorities of before, or the configuration is deleted",
    )

    def _broken(self, ref: ObjectRef, hooks: Sequence[Mapping[str, Any]]) -> list[Edit]:
        """Return that the authorities of each webhook have ended."""
        return [
            Edit(
                ref=ref,
                way=("webhooks", {"name": hook["name"]}, "clientConfig", "caBundle"),
                value=self._ended(hook),
                signal="webhook",
            )
            for hook in hooks
        ]

    def _ended(self, hook: Mapping[str, Any]) -> str:
        bundle = hook.get("clientConfig", {}).get("caBundle")
        if not bundle:
            raise BadInput(
                f"{self.name}: the webhook {hook['name']} has no caBundle, so no "
                "authority of it can expire: use WebhookDown, or another configuration"
            )
        return certificates.ended_bundle(bundle)

    def _client_config(self, plane: ControlPlane) -> Mapping[str, Any]:
        """Return the API server itself, under an authority that has ended."""
        port = plane.ports["kubeApiserverPort"]
        bundle = certificates.ended_authority(plane.workdir)
        return {"url": f"https://127.0.0.1:{port}/", "caBundle": bundle}

    def _because(self) -> str:
        """Return what a client of an expired certificate says."""
        return certificates.HAS_EXPIRED


def _configuration(plane: ControlPlane, name: str) -> ObjectRef | None:
    for kind in _KINDS:
        ref = ObjectRef(kind=kind, name=name)
        # A name of a subresource has a slash, and no object is called so.
        if "/" not in name and plane.api.get_or_none(ref.path) is not None:
            return ref
    return None


def _names(plane: ControlPlane) -> str:
    """Return the configurations that there are."""
    lists = (plane.api.get(ObjectRef(kind=k, name="").collection) for k in _KINDS)
    names = sorted(one["metadata"]["name"] for found in lists for one in found["items"])
    return ", ".join(names) or "none"


def _webhooks(
    fault: str, plane: ControlPlane, ref: ObjectRef
) -> Sequence[Mapping[str, Any]]:
    hooks: Sequence[Mapping[str, Any]] = plane.api.get(ref.path).get("webhooks") or ()
    if not hooks:
        raise BadInput(f"{fault}: {ref} has no webhooks")
    return hooks


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


def _body(
    rules: Sequence[Mapping[str, Any]], client_config: Mapping[str, Any]
) -> dict[str, Any]:
    hook: dict[str, Any] = {
        "admissionReviewVersions": ["v1"],
        "clientConfig": dict(client_config),
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
