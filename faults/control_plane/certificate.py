"""A certificate of the control plane that expires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import Expiry
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard
from pytest_knav.faults.control_plane.components import OfComponent


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

_SERVER: Final = "kube-apiserver"
_CLIENTS: Final = ("kube-controller-manager", "kube-scheduler")
_VALID_FOR_MAX_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class CertificateExpired(OfComponent):
    """
    A certificate of the control plane expires.

    Changes: the component is started with a certificate that the cluster's authority
    has signed and that ends soon; then every request of it is answered 401, and what
    it knows stays as it was until its watches break. Of the API server it is the
    certificate that it serves, expired from the start: every client refuses it, the
    recorder too.

    Args:
        target: `scheduler`, `kcm` or `apiserver`.
        valid_for: How long a client's certificate is good: long enough to start with.
            `0s`: it starts and can read nothing.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("certificate",),
        stands_for="certificates of kubeadm after a year without an upgrade",
        source="Kubernetes, kubeadm certs (one year); apiserver, "
        "authentication/request/x509 (checked for each request)",
        certifies="that work waits, and goes on when the certificate is renewed",
        does_not_certify="a rotation in time; certificates of kubelets; of "
        "webhooks see WebhookCertificateExpired",
        undone="the component is started with its own certificate",
    )

    valid_for: Duration = "3s"

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        valid_s = seconds(self.valid_for, name="valid_for")
        if valid_s > _VALID_FOR_MAX_S:
            raise BadInput(
                f"CertificateExpired(valid_for={self.valid_for!r}): at most "
                f"{_VALID_FOR_MAX_S:g}s: the fault is injected when it has expired"
            )

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the full names of the components."""
        found = OfComponent.resolve(self, world, choose)
        for name in found:
            if name not in {_SERVER, *_CLIENTS}:
                raise BadInput(
                    f"{self.name}: {name} has no certificate that can expire here: "
                    f"use one of {', '.join((_SERVER, *_CLIENTS))}"
                )
        return found

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the certificate of each."""
        del world
        valid_s = seconds(self.valid_for, name="valid_for")
        return [
            Expiry(
                component=name,
                valid_for_s=0.0 if name == _SERVER else valid_s,
                signal="certificate",
            )
            for name in targets
        ]
