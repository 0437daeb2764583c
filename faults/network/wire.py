"""Faults of the bytes in a connection, whatever they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes.network import (
    BANDWIDTH,
    BLACK_HOLE,
    LATENCY,
    RESET,
    Toxics,
)
from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard
from pytest_knav.faults.network.connection import OfConnection, cuts_off_the_recorder


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.durations import Duration
    from pytest_knav.faults.base import World

# Half of it in each direction, in whole milliseconds.
_LEAST_LATENCY_S: Final = 0.002
_MOST_LATENCY_S: Final = 10.0
# Below them a probe takes too long, beyond them it measures the machine.
_LEAST_KB_PER_S: Final = 20
_MOST_KB_PER_S: Final = 10_000


def _toxics(
    targets: Sequence[str], kind: str, attributes: Mapping[str, int]
) -> list[Change]:
    return [
        Toxics(link=name, kind=kind, attributes=dict(attributes), signal="connection")
        for name in targets
    ]


@dataclass(frozen=True, slots=True)
class Latency(OfConnection):
    """
    Connections are slow: every answer comes later.

    Changes: bytes in the connection are held back, half of the latency in each
    direction; also in connections that are open.

    Args:
        target: A connection such as `between("scheduler", "apiserver")`.
        latency: How much longer a round trip takes, from 2 ms to 10 s.
        jitter: By how much that varies, up and down.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="network",
        layer="network",
        signals=("connection",),
        stands_for="a control plane across regions, a loaded switch, a slow disk "
        "behind etcd",
        source="toxiproxy, toxic `latency`; etcd, tuning guide (round-trip times)",
        certifies="that work goes on, and how much slower",
        does_not_certify="loss and reordering of packets: TCP hides both as latency",
        undone="what is held back is delivered, and connections stay open",
    )

    latency: Duration = "200ms"
    jitter: Duration = 0

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        latency_s = seconds(self.latency, name="latency")
        if not _LEAST_LATENCY_S <= latency_s <= _MOST_LATENCY_S:
            raise BadInput(f"Latency(latency={self.latency!r}): give 2 ms to 10 s")
        if seconds(self.jitter, name="jitter") > latency_s:
            raise BadInput(
                f"Latency(jitter={self.jitter!r}): give at most the latency, "
                f"{self.latency!r}"
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the delay of each connection."""
        del world
        attributes = {
            "latency": round(seconds(self.latency) * 500),
            "jitter": round(seconds(self.jitter) * 500),
        }
        return _toxics(targets, LATENCY, attributes)


@dataclass(frozen=True, slots=True)
class Bandwidth(OfConnection):
    """
    Connections are narrow: long answers, lists above all, take their time.

    Changes: at most so many bytes a second pass in each direction of each TCP
    connection. client-go has one for all requests of a component.

    Args:
        target: A connection such as `between("kcm", "apiserver")`.
        kilobytes_per_s: How much passes, from 20 to 10,000 kB/s.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="network",
        layer="network",
        signals=("connection",),
        stands_for="a congested or throttled network, a degraded NIC of a master",
        source="toxiproxy, toxic `bandwidth`",
        certifies="that work goes on, and how much slower",
        does_not_certify="that connections share a line: each has the rate for itself",
        undone="what is held back is delivered, and connections stay open",
    )

    kilobytes_per_s: int = 100

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        rate = self.kilobytes_per_s
        whole = isinstance(rate, int) and not isinstance(rate, bool)
        if not whole or not _LEAST_KB_PER_S <= rate <= _MOST_KB_PER_S:
            raise BadInput(
                f"Bandwidth(kilobytes_per_s={rate!r}): give a whole number from "
                f"{_LEAST_KB_PER_S} to {_MOST_KB_PER_S}"
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the limit of each connection."""
        del world
        return _toxics(targets, BANDWIDTH, {"rate": self.kilobytes_per_s})


@dataclass(frozen=True, slots=True)
class _Deadly(OfConnection):
    """A fault that lets nothing through."""

    def blinds(self, targets: Sequence[str]) -> bool:
        """Return whether the API server is cut off from its store."""
        return cuts_off_the_recorder(targets)


@dataclass(frozen=True, slots=True)
class ConnectionReset(_Deadly):
    """
    Connections break: those that are open end, each new one is reset.

    Changes: open connections are closed at once; a new one is taken, and reset (TCP
    RST) when its first bytes come.

    Args:
        target: A connection such as `between("scheduler", "apiserver")`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="network",
        layer="network",
        signals=("connection",),
        stands_for="a load balancer that restarts or forgets connections, a firewall "
        "that rejects",
        source="toxiproxy, toxic `reset_peer`",
        certifies="that a component connects again, and resumes or lists anew",
        does_not_certify="silence: an error is seen at once (see BlackHole)",
        undone="new connections are led on",
    )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the resets of each connection."""
        del world
        return _toxics(targets, RESET, {"timeout": 0})


@dataclass(frozen=True, slots=True)
class BlackHole(_Deadly):
    """
    Nothing passes and nobody is told: connections stay open, bytes are dropped.

    Changes: all bytes in both directions are dropped, also in connections that are
    open. A new connection is taken, and its TLS handshake gets no answer. Connections
    that have lost bytes are closed when the fault ends; real ones would go on after
    TCP's next retransmission.

    Args:
        target: A connection such as `between("scheduler", "apiserver")`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="network",
        layer="network",
        signals=("connection",),
        stands_for="a partition, a firewall that drops, a failed switch or route",
        source="Jepsen, nemesis `partition`; toxiproxy, toxic `timeout` of 0",
        certifies="that a component notices silence, waits, and goes on afterwards",
        does_not_certify="the wait for a retransmission after the partition has healed",
        undone="bytes pass again; connections that have lost some are closed",
    )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the black hole in each connection."""
        del world
        return _toxics(targets, BLACK_HOLE, {"timeout": 0})
