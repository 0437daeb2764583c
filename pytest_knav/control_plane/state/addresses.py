"""
Addresses and ports for Services that name none.

A dry run gives every Service the first address of the range ("don't bother finding a
free value", pkg/registry/core/service/ipallocator), so they are chosen here. The API
server judges the choice, and its repair loop writes down whose they are.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_knav.control_plane.api import Api, JsonObject

# The API server's --service-node-port-range.
_NODE_PORTS: Final = range(32_767, 29_999, -1)
_WITH_PORTS: Final = frozenset({"NodePort", "LoadBalancer"})


def give(api: Api, services: Iterable[JsonObject]) -> None:
    """
    Write a free address, and free ports where it has such, into each Service.

    Raises:
        BadInput: There are not enough of them.

    """
    wanted = [
        service["spec"] for service in services if isinstance(service.get("spec"), dict)
    ]
    if not wanted:
        return
    specs = [item["spec"] for item in api.get("/api/v1/services")["items"]] + wanted
    used = {spec.get("clusterIP") for spec in specs}
    taken = {port.get("nodePort") for spec in specs for port in _ports(spec)}
    addresses = (one for one in _range(api) if one not in used)
    ports = (one for one in _NODE_PORTS if one not in taken)
    for spec in wanted:
        if spec.get("type") != "ExternalName" and not spec.get("clusterIP"):
            spec["clusterIP"] = _next(addresses, "address")
        for port in _ports(spec):
            if spec.get("type") in _WITH_PORTS and not port.get("nodePort"):
                port["nodePort"] = _next(ports, "node port")


def _ports(spec: JsonObject) -> list[dict[str, Any]]:
    # What is wrong with others, the API server says.
    return [port for port in spec.get("ports") or () if isinstance(port, dict)]


def _next(free: Iterator[Any], what: str) -> Any:  # noqa: ANN401 - text or number
    found = next(free, None)
    if found is None:
        raise BadInput(f"the cluster has no {what} left for so many Services")
    return found


def _range(api: Api) -> Iterator[str]:
    """Yield the addresses for Services from the upper end, where others begin too."""
    for item in api.get("/apis/networking.k8s.io/v1/servicecidrs")["items"]:
        network = ipaddress.ip_network(item["spec"]["cidrs"][0])
        for offset in range(network.num_addresses - 2, 0, -1):
            yield str(network[offset])
