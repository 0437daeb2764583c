"""Faults of single requests of the Kubernetes API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes.network import RequestRule
from pytest_knav.control_plane.network.layer.rules import ERRORS, STALE
from pytest_knav.control_plane.network.links import link_named
from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard
from pytest_knav.faults.network.connection import OfConnection


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.durations import Duration
    from pytest_knav.faults.base import World

STATUSES: Final = (429, 500, 503)
VERBS: Final = (
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
)
# Below it, a probe would need minutes to meet one.
_LEAST_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class _OfRequests(OfConnection):
    """A fault of single requests."""

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """
        Return the names of the connections.

        Raises:
            BadInput: One of them does not carry requests of the Kubernetes API.

        """
        names = OfConnection.resolve(self, world, choose)
        for name in names:
            if not link_named(name).speaks_http:
                raise BadInput(
                    f"{self.name}: {name} carries gRPC, no requests of the Kubernetes "
                    "API: use Latency, Bandwidth, ConnectionReset or BlackHole"
                )
        return names

    def _check_names(self, name: str, allowed: Sequence[str] = ()) -> None:
        given = getattr(self, name)
        if isinstance(given, str) or not isinstance(given, list | tuple):
            raise BadInput(
                f"{type(self).__name__}({name}={given!r}): give a tuple, such as "
                f"({(allowed or ('pods',))[0]!r},)"
            )
        for one in given:
            if not isinstance(one, str) or not one or (allowed and one not in allowed):
                raise BadInput(
                    f"{type(self).__name__}({name}={given!r}): {one!r} is none: use "
                    f"{', '.join(allowed) or 'names such as pods or pods/binding'}"
                )
        object.__setattr__(self, name, tuple(given))

    def _rule(self, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        rule = {
            "kind": "",
            "verbs": [],
            "resources": [],
            "status": 503,
            "share": 1.0,
            "retry_after_s": None,
            "delay_s": None,
            "seed": "",
        }
        return {**rule, **given}


@dataclass(frozen=True, slots=True)
class ApiErrors(_OfRequests):
    """
    The API server answers a share of a component's requests with an error.

    Changes: the requests get the status and a Kubernetes `Status` object, and never
    reach the API server. When the fault begins and when it ends, the component's open
    connections are closed once, so that its watches are opened anew; meanwhile it
    speaks HTTP/1.1.

    Args:
        target: A connection to the API server such as
            `between("scheduler", "apiserver")`.
        status: 429, 500 or 503.
        share: Of the requests that it is about, from 0.01 to 1.
        verbs: Which ones, in the words of RBAC; empty for all.
        resources: Which ones, such as `pods` or `pods/binding`, patterns such as
            `pods*` too; empty for all.
        retry_after: The whole seconds that the answer tells the client to wait. Without
            it client-go does not try again by itself (rest/with_retry.go).

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="network",
        layer="network",
        signals=("connection",),
        stands_for="an API server that is overloaded (429), broken (500) or that a "
        "load balancer takes for dead (503)",
        source="Kubernetes, API priority and fairness; client-go, rest/with_retry.go",
        certifies="that a component tries again, later, and does nothing twice",
        does_not_certify="an error that is answered after the write was done",
        undone="requests reach the API server; the component's connections are closed "
        "once more",
    )

    status: int = 503
    share: float = 1.0
    verbs: Sequence[str] = ()
    resources: Sequence[str] = ()
    retry_after: Duration | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        self._check_names("verbs", VERBS)
        self._check_names("resources")
        if self.status not in STATUSES:
            allowed = ", ".join(map(str, STATUSES))
            raise BadInput(f"ApiErrors(status={self.status!r}): use one of {allowed}")
        share = self.share
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not _LEAST_SHARE <= share <= 1:
            raise BadInput(
                f"ApiErrors(share={share!r}): give a number from {_LEAST_SHARE} to 1"
            )
        if self.retry_after is not None:
            wait_s = seconds(self.retry_after, name="retry_after")
            if wait_s != int(wait_s):
                raise BadInput(
                    f"ApiErrors(retry_after={self.retry_after!r}): give whole seconds"
                )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the errors of each connection."""
        del world
        wait = self.retry_after
        return [
            RequestRule(
                link=name,
                signal="connection",
                rule=self._rule(
                    kind=ERRORS,
                    verbs=list(self.verbs),
                    resources=list(self.resources),
                    status=self.status,
                    share=float(self.share),
                    retry_after_s=None if wait is None else int(seconds(wait)),
                    seed=name,
                ),
            )
            for name in targets
        ]


@dataclass(frozen=True, slots=True)
class StaleWatch(_OfRequests):
    """
    A component sees the past: events of its watches come late, lists answer as ever.

    Changes: what watches deliver is held back, by a time or until the fault ends, and
    then delivered in order. When the fault begins, the component's connections are
    closed once: what it reads then, by a list or the first part of a streaming list
    (KEP-3157), is fresh, and from there on it grows old. What the component writes
    arrives at once.

    Args:
        target: A connection to the API server such as
            `between("scheduler", "apiserver")`.
        delay: How much later events come; by default when the fault ends.
        resources: Of which watches, such as `pods`; empty for all.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="network",
        layer="network",
        signals=("connection",),
        stands_for="an API server or watch cache that lags behind, a proxy that "
        "buffers",
        source="Sieve (OSDI 2022), stale states; Kubernetes issue 59848",
        certifies="that a component which acts on old knowledge does no harm",
        does_not_certify="lists from an old cache: lists here are fresh",
        undone="what is held back is delivered; the component's connections are closed "
        "once more",
    )

    delay: Duration | None = None
    resources: Sequence[str] = ()

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        self._check_names("resources")
        if self.delay is not None and seconds(self.delay, name="delay") == 0:
            raise BadInput(f"StaleWatch(delay={self.delay!r}): give more than 0")

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the lag of each connection."""
        del world
        delay_s = None if self.delay is None else seconds(self.delay)
        return [
            RequestRule(
                link=name,
                signal="connection",
                rule=self._rule(
                    kind=STALE, resources=list(self.resources), delay_s=delay_s
                ),
            )
            for name in targets
        ]
