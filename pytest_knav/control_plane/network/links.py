"""Who speaks to whom in a control plane: the links that a proxy can stand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pytest_knav.control_plane.components import component_name
from pytest_knav.errors import BadInput


ETCD: Final = "etcd"
APISERVER: Final = "kube-apiserver"
#: All processes of the system under test, where there is one.
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """
    A client and the server that it connects to.

    Attributes:
        client: The component that opens the connections.
        server: The component that answers.

    """

    client: str
    server: str

    @property
    def name(self) -> str:
        """Return what it is called in targets, journals and toxiproxy."""
        return f"{self.client}->{self.server}"

    @property
    def speaks_http(self) -> bool:
        """Return whether single requests of the Kubernetes API can be told apart."""
        return self.server == APISERVER


LINKS: Final = (
    Link(client=APISERVER, server=ETCD),
    Link(client="kube-scheduler", server=APISERVER),
    Link(client="kube-controller-manager", server=APISERVER),
    Link(client="kwok-controller", server=APISERVER),
    Link(client=SYSTEM, server=APISERVER),
)
#: Without that of a system, which not every cluster has.
OF_COMPONENTS: Final = tuple(link for link in LINKS if link.client != SYSTEM)
_BY_NAME: Final = {link.name: link for link in LINKS}
_SHORT: Final = {
    "kube-apiserver": "apiserver",
    "kube-controller-manager": "kcm",
    "kube-scheduler": "scheduler",
    "kwok-controller": "kwok",
}


def link_named(name: str) -> Link:
    """
    Return a link by its name.

    Raises:
        BadInput: There is none of that name.

    """
    if name not in _BY_NAME:
        raise BadInput(f"connection {name!r} is unknown: use one of {_pairs()}")
    return _BY_NAME[name]


def link_between(one: str, other: str) -> Link:
    """
    Return the link of two components, whichever of them opens the connections.

    Raises:
        BadInput: One is no component, or they do not speak to each other.

    """
    both = {name if name == SYSTEM else component_name(name) for name in (one, other)}
    for link in LINKS:
        if both == {link.client, link.server}:
            return link
    raise BadInput(
        f"between({one}, {other}): they open no connection to each other: use one of "
        f"{_pairs()}"
    )


def _pairs() -> str:
    return ", ".join(
        f"between({_SHORT.get(link.client, link.client)}, "
        f"{_SHORT.get(link.server, link.server)})"
        for link in LINKS
    )
