"""Changes of the connections between the components of a control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes.base import Change, Lasting, known
from pytest_knav.control_plane.network import probes
from pytest_knav.control_plane.network.layer.rules import STALE
from pytest_knav.control_plane.network.links import ETCD, Link, link_named
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_knav.control_plane.network.network import Network
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

LATENCY: Final = "latency"
BANDWIDTH: Final = "bandwidth"
BLACK_HOLE: Final = "timeout"
RESET: Final = "reset_peer"
# A reset in one direction ends both.
_STREAMS: Final[dict[str, tuple[str, ...]]] = {
    LATENCY: ("upstream", "downstream"),
    BANDWIDTH: ("upstream", "downstream"),
    BLACK_HOLE: ("upstream", "downstream"),
    RESET: ("upstream",),
}
_EFFECTS: Final[dict[str, Callable[[Network, Link, Mapping[str, int]], bool]]] = {
    LATENCY: probes.is_late,
    BANDWIDTH: probes.is_narrow,
    BLACK_HOLE: probes.is_silent,
    RESET: probes.is_reset,
}


def network_of(plane: ControlPlane) -> Network:
    """
    Return the proxies of a cluster.

    Raises:
        BadInput: It has none.

    """
    if plane.network is None:
        raise BadInput(
            f"cluster {plane.entry.name!r} has no proxies between its components: mark "
            "the test with @pytest.mark.knav(network=True)"
        )
    return plane.network


def _whole(plane: ControlPlane, link: Link) -> bool:
    """Return whether a link leads to a server that answers, and who uses it is well."""
    if not probes.answers(network_of(plane), link):
        return False
    return link.server != ETCD or plane.component(link.client).healthy()


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics(Change):
    """
    What toxiproxy does to the bytes of a link, in both directions.

    Attributes:
        link: The name of the link.
        kind: A type of toxic of toxiproxy.
        attributes: What that type takes, for each direction.

    """

    op: ClassVar[str] = "toxics"

    link: str
    kind: str
    attributes: Mapping[str, int]

    @property
    def lane(self) -> str:
        """Return the link."""
        return self.link

    @property
    def names(self) -> dict[str, str]:
        """Return the direction of each of its toxics by name."""
        return {f"knav-{self.kind}-{way}": way for way in _STREAMS[self.kind]}

    def describe(self) -> str:
        """Return the link and what is done to it."""
        return f"{self.kind} {dict(self.attributes)} on {self.link}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Put the toxics in; they hurt the connections that are open as well."""
        proxy = network_of(plane).proxy
        for name, way in self.names.items():
            toxic = {
                "name": name,
                "type": self.kind,
                "stream": way,
                "attributes": dict(self.attributes),
            }
            proxy.add(self.link, toxic)
        if self.kind == RESET:
            # That toxic waits for bytes to come; idle watches would live on.
            proxy.cut(self.link)
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return what takes the toxics out."""
        del plane
        return [NoToxics(link=self.link, names=list(self.names), signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether toxiproxy has them and a request meets their effect."""
        del history
        network = network_of(plane)
        found = network.proxy.toxics(self.link)
        there = all(
            name in found
            and found[name]["stream"] == way
            and found[name]["attributes"] == dict(self.attributes)
            for name, way in self.names.items()
        )
        link = link_named(self.link)
        return there and _EFFECTS[self.kind](network, link, self.attributes)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether toxiproxy has none of them and the link is whole."""
        del history
        found = network_of(plane).proxy.toxics(self.link)
        none_left = not found.keys() & self.names.keys()
        return none_left and _whole(plane, link_named(self.link))


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class NoToxics(Lasting):
    """A link without some toxics, that takes connections."""

    op: ClassVar[str] = "no toxics"

    link: str
    names: Sequence[str]

    @property
    def lane(self) -> str:
        """Return the link."""
        return self.link

    def describe(self) -> str:
        """Return the link and what is not in it."""
        return f"no {', '.join(self.names)} on {self.link}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Take them out; harmless where they are not."""
        proxy = network_of(plane).proxy
        for name in self.names:
            proxy.remove(self.link, name)
        # Whoever was killed while cutting connections has left the link closed.
        proxy.enable(self.link)
        return None

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether they are not there."""
        del history
        return not network_of(plane).proxy.toxics(self.link).keys() & set(self.names)


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRule(Change):
    """
    A link that leads through the layer which hurts single requests.

    Attributes:
        link: The name of the link.
        rule: What is done to which requests; see `network.layer.rules.Rule`.

    """

    op: ClassVar[str] = "request rule"

    link: str
    rule: Mapping[str, Any]

    @property
    def lane(self) -> str:
        """Return the link."""
        return self.link

    def describe(self) -> str:
        """Return the link and what is done to its requests."""
        which = " ".join(
            ", ".join(self.rule[part]) for part in ("verbs", "resources")
        ).strip()
        if self.rule["kind"] == STALE:
            return f"a watch of {which or 'anything'} held back on {self.link}"
        return f"{self.rule['status']} for {which or 'requests'} on {self.link}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Lead the link through the layer; its open connections end."""
        network_of(plane).hurt_requests(link_named(self.link), self.rule)
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return what leads the link straight to its server."""
        del plane
        return [NoRequestRule(link=self.link, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the layer follows the rule and it has an effect."""
        del history
        network, link = network_of(plane), link_named(self.link)
        if self.link not in network.led_through_layer() or not network.layer.running:
            return False
        try:
            state = network.layer.state()[self.link]
        except ClusterError:
            return False
        if state["rule"] != dict(self.rule):
            return False
        if self.rule["kind"] == STALE:
            network.evidence[self.link] = f"{state['held']} watches are held back"
            return bool(state["held"])
        return probes.refuses(network, link, self.rule)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the link leads straight to a server that answers."""
        del history
        led = network_of(plane).led_through_layer()
        return self.link not in led and _whole(plane, link_named(self.link))


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class NoRequestRule(Lasting):
    """A link that leads straight to its server."""

    op: ClassVar[str] = "no request rule"

    link: str

    @property
    def lane(self) -> str:
        """Return the link."""
        return self.link

    def describe(self) -> str:
        """Return the link."""
        return f"{self.link} leads straight to its server"

    def apply(self, plane: ControlPlane) -> int | None:
        """Lead it there; harmless where it does."""
        network_of(plane).heal_requests(link_named(self.link))
        return None

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it leads there."""
        del history
        return self.link not in network_of(plane).led_through_layer()
