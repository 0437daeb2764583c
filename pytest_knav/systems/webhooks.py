"""Webhooks of a system, led to its process on this host."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CONFIGURATIONS: Final = frozenset({
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
})  # fmt: skip
_DEFINITION: Final = "CustomResourceDefinition"
# What cert-manager and the like would fill in later, over ours.
_INJECTING: Final = (
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-apiserver-ca",
)


def is_webhook(manifest: Mapping[str, Any]) -> bool:
    """Return whether an object configures webhooks."""
    return manifest.get("kind") in _CONFIGURATIONS


def services_of(manifest: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return namespace and name of the services that webhooks of an object call."""
    found = (config.get("service") for config in _client_configs(manifest))
    return {(s.get("namespace", ""), s.get("name", "")) for s in found if s}


def led_to_loopback(
    manifest: Mapping[str, Any],
    ports: Mapping[str, str],
    port: Callable[[str], int],
    ca_bundle: str,
) -> dict[str, Any]:
    """
    Return an object whose webhooks and conversions are served on this host.

    Each `clientConfig.service` becomes a URL with the same path; what has a URL
    already stays.

    Args:
        manifest: The object.
        ports: Names of ports by the service they stand for; the empty name for any.
        port: Returns a port's number by its name.
        ca_bundle: Who has signed what is served there, as base64 of PEM.

    Raises:
        BadInput: It calls a service that no port stands for.

    """
    changed: dict[str, Any] = copy.deepcopy(dict(manifest))
    for config in _client_configs(changed):
        service = config.get("service")
        if not service:
            continue
        name = ports.get(service.get("name", ""), ports.get("", ""))
        if not name:
            raise BadInput(
                f"{changed['kind']} {changed['metadata']['name']} calls the service "
                f"{service.get('name')!r}, and webhooks= says no port for it: give "
                'webhooks="loopback", or a mapping that has it'
            )
        del config["service"]
        path = service.get("path", "")
        config["url"] = f"https://127.0.0.1:{port(name)}{path}"
        config["caBundle"] = ca_bundle
    annotations = changed["metadata"].get("annotations", {})
    for key in _INJECTING:
        annotations.pop(key, None)
    return changed


def _client_configs(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if is_webhook(manifest):
        for webhook in manifest.get("webhooks") or ():
            yield webhook.get("clientConfig", {})
    elif manifest.get("kind") == _DEFINITION:
        conversion = manifest.get("spec", {}).get("conversion") or {}
        config = (conversion.get("webhook") or {}).get("clientConfig")
        if config:
            yield config
