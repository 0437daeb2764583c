"""
metrics-server as a process of ours, so that `kubectl top` and autoscalers see loads.

Its API is reached through the API server: an APIService leads there by a Service of
the kind ExternalName, as kwokctl has it (pkg/kwokctl/components/manifest_converter.go).
"""

from __future__ import annotations

import http.client
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.services.process import Service


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav.control_plane.api import Api
    from pytest_knav.control_plane.plane import ControlPlane

NAME: Final = "metrics-server"
_HOST: Final = "localhost"
API_PATH: Final = "/apis/metrics.k8s.io/v1beta1"
_SERVICE_PATH: Final = f"/api/v1/namespaces/kube-system/services/{NAME}"
_APISERVICE: Final = "v1beta1.metrics.k8s.io"
_APISERVICE_PATH: Final = f"/apis/apiregistration.k8s.io/v1/apiservices/{_APISERVICE}"
# It must be less than nine tenths of the resolution.
_SCRAPE_TIMEOUT_SHARE: Final = 0.8


def forget(api: Api) -> bool:
    """Take away what leads to a metrics-server of ours; return whether it was there."""
    service = api.get_or_none(_SERVICE_PATH)
    if service is None or service["spec"].get("externalName") != _HOST:
        return False
    api.delete(_APISERVICE_PATH)
    api.delete(_SERVICE_PATH)
    return True


class MetricsServer(Service):
    """
    metrics-server of one cluster; what it has measured is gone when it ends.

    Args:
        plane: The control plane.
        program: The binary.
        observer: Who is told of its kills and restarts.

    """

    # Alive, not ready: it is ready only when it has measured twice.
    health_path = "/livez"

    def __init__(
        self,
        plane: ControlPlane,
        program: Path,
        observer: Callable[[str, str], None],
    ) -> None:
        super().__init__(NAME, plane, program, observer)
        self._plane = plane
        self.resolution_s = plane.profile.metrics_resolution_s

    def arguments(self) -> list[str]:
        """Return the arguments that it is started with."""
        endpoint, kubeconfig = self._plane.endpoint, self._plane.entry.kubeconfig
        timeout_s = self.resolution_s * _SCRAPE_TIMEOUT_SHARE
        return [
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            # The API server asks with a certificate of its own; there is no CA of a
            # front proxy to look up.
            "--authentication-skip-lookup",
            f"--client-ca-file={endpoint.ca_file}",
            f"--tls-cert-file={endpoint.cert_file}",
            f"--tls-private-key-file={endpoint.key_file}",
            # KWOK's nodes have a host name alone; what a test adds may have more.
            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
            "--kubelet-use-node-status-port",
            "--kubelet-insecure-tls",
            f"--metric-resolution={self.resolution_s:g}s",
            f"--kubelet-request-timeout={timeout_s:g}s",
        ]

    def healthy(self) -> bool:
        """Return what it says of itself now."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=3, context=self._tls
        )
        with closing(connection):
            try:
                connection.request("GET", self.health_path)
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException, ssl.SSLError):
                return False

    def registration(self) -> dict[str, dict[str, Any]]:
        """Return what has the API server serve `metrics.k8s.io`, by path, in order."""
        return {_SERVICE_PATH: self._service(), _APISERVICE_PATH: self._apiservice()}

    def _service(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": "kube-system"},
            "spec": {
                "type": "ExternalName",
                "externalName": _HOST,
                "ports": [{"name": "https", "port": self.port, "protocol": "TCP"}],
            },
        }

    def _apiservice(self) -> dict[str, Any]:
        # Priorities are those of its own manifests.
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": _APISERVICE},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {
                    "name": NAME,
                    "namespace": "kube-system",
                    "port": self.port,
                },
            },
        }
