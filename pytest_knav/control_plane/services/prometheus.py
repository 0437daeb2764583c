"""
Prometheus as a process of ours: it scrapes a cluster's components and our exporter.

kwokctl has one too, but only from the cluster's creation on and every 15 s; tests with
thresholds would need another cluster and longer windows.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from pytest_knav.control_plane.services.process import Service, reserved_port


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav.control_plane.plane import ControlPlane

NAME: Final = "prometheus"
# From this number of nodes on, a scrape of all GPUs is some 20 MB.
_MANY_NODES: Final = 1_000
_RETENTION: Final = {"time": "6h", "size": "1GB"}
# A sample older than this many scrapes is no value any more. The default of five
# minutes would show what was, all the time that Prometheus or a target is dead.
_LOOKBACK_SCRAPES: Final = 5
_QUERY_TIMEOUT: Final = "10s"
# Else it begins to scrape five seconds after its start (cmd/prometheus/main.go).
_RELOAD_INTERVAL: Final = "100ms"
# Counters that appear while they are scraped get the zero that they began with, so
# that increase() sees their first step.
_FEATURES: Final = "created-timestamp-zero-ingestion"
# The component, the scheme of its metrics, and what kwokctl calls its port.
_COMPONENTS: Final = (
    ("kube-apiserver", "https", "kubeApiserverPort"),
    ("kube-controller-manager", "https", "kubeControllerManagerPort"),
    ("kube-scheduler", "https", "kubeSchedulerPort"),
    ("etcd", "http", "etcdPort"),
    ("kwok-controller", "http", "kwokControllerPort"),
)


def scrape_interval_s(nodes: int) -> int:
    """Return the seconds between two scrapes in a cluster of a size."""
    return 1 if nodes < _MANY_NODES else 2


class Prometheus(Service):
    """
    Prometheus of one cluster; its data go with the cluster's directory.

    Args:
        plane: The control plane.
        program: The binary.
        observer: Who is told of its kills and restarts.
        interval_s: The seconds between two scrapes and between two evaluations.
        exported: Paths that are scraped at `exporter_port`, by the name of their job.

    Attributes:
        exporter_port: A port of the cluster, for an exporter of ours.

    """

    health_path = "/-/ready"

    def __init__(
        self,
        plane: ControlPlane,
        program: Path,
        observer: Callable[[str, str], None],
        *,
        interval_s: int,
        exported: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(NAME, plane, program, observer)
        self.exporter_port = reserved_port(plane, f"{NAME}-exporter")
        self.interval_s = interval_s
        self._exported = exported
        self._endpoint = plane.endpoint
        self._component_ports = plane.ports
        self._beside = plane.services

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def jobs(self) -> tuple[str, ...]:
        """Return the names of what it scrapes."""
        return tuple(job["job_name"] for job in self._jobs())

    def prepare(self) -> None:
        """Make its directory, empty, and write its configuration."""
        shutil.rmtree(self.directory, ignore_errors=True)
        super().prepare()
        self._configuration.write_text(self.render())
        self._configuration.chmod(0o600)

    def arguments(self) -> list[str]:
        """Return the arguments that it is started with."""
        lookback_s = _LOOKBACK_SCRAPES * self.interval_s
        return [
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            "--storage.tsdb.no-lockfile",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--query.lookback-delta={lookback_s}s",
            f"--query.timeout={_QUERY_TIMEOUT}",
            f"--scrape.discovery-reload-interval={_RELOAD_INTERVAL}",
            f"--enable-feature={_FEATURES}",
            "--log.level=warn",
        ]

    def render(self) -> str:
        """Return its configuration as YAML."""
        interval = f"{self.interval_s}s"
        document = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "storage": {"tsdb": {"retention": _RETENTION}},
            "scrape_configs": self._jobs(),
        }
        return yaml.safe_dump(document, sort_keys=False)

    def _jobs(self) -> list[dict[str, Any]]:
        # The scheduler and the controller manager sign their own certificates.
        tls = {
            "insecure_skip_verify": True,
            "cert_file": self._endpoint.cert_file,
            "key_file": self._endpoint.key_file,
        }
        jobs: list[dict[str, Any]] = [
            {
                "job_name": name,
                "scheme": scheme,
                **({"tls_config": tls} if scheme == "https" else {}),
                "static_configs": [_target(self._component_ports[port])],
            }
            for name, scheme, port in _COMPONENTS
        ]
        jobs += [
            {
                "job_name": service.name,
                "scheme": url.scheme,
                **({"tls_config": tls} if url.scheme == "https" else {}),
                "metrics_path": url.path or "/metrics",
                "static_configs": [{"targets": [url.netloc]}],
            }
            for service in self._beside.values()
            if (url := urlsplit(service.metrics_url)).netloc
        ]
        jobs += [
            {
                "job_name": name,
                "metrics_path": path,
                # The labels namespace and pod are those of who is told of.
                "honor_labels": True,
                "static_configs": [_target(self.exporter_port)],
            }
            for name, path in self._exported
        ]
        return jobs

    @property
    def _configuration(self) -> Path:
        return self.directory / "prometheus.yml"


def _target(port: int) -> dict[str, list[str]]:
    return {"targets": [f"127.0.0.1:{port}"]}
