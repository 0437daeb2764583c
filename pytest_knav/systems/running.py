"""A system on a control plane: installed, started, ended, started afresh."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.discovery import Discovery
from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput, ClusterError, HarnessError
from pytest_knav.systems import dialects, manifests, mounts, webhooks
from pytest_knav.systems.certificates import make_serving_files
from pytest_knav.systems.process import (
    Program,
    SystemService,
    program_of_path,
    system_port,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.systems.manifests import JsonObject
    from pytest_knav.systems.model import System, SystemProcess
    from pytest_knav.workloads import Workload
    from pytest_knav.workloads.status import OwnStatus

ASSET: Final = "asset:"
IMAGE: Final = "oci:"
_INTERVAL_S: Final = 0.02


class RunningSystem:
    """
    A system beside one control plane.

    Its processes end before a state is put back and start after it, because their
    memory is state too; its objects are part of the state that tests begin with.

    Args:
        system: What it is.
        plane: The control plane.
        asset: Returns the path of one of our binaries by its name.

    """

    def __init__(
        self, system: System, plane: ControlPlane, asset: Callable[[str], Path]
    ) -> None:
        self.system = system
        self._plane = plane
        self._asset = asset
        self._installed = False
        self._programs: dict[str, Program] = {}
        self._certs = plane.workdir / f"{system.name}-certs"
        #: How long the last start took, in seconds.
        self.start_s = 0.0

    @property
    def services(self) -> list[SystemService]:
        """Return its processes that were made."""
        found = (self._plane.services.get(p.name) for p in self.system.all_processes)
        return [service for service in found if isinstance(service, SystemService)]

    def install(self) -> None:
        """
        Put its objects into the cluster, start it, return when it is ready.

        Raises:
            BadInput: A manifest cannot be read or is of an API that is not served.
            ClusterError: A process does not start or get ready; all of it is ended
                then, and the message has its last log lines.

        """
        self._find_programs()
        objects = self._objects()
        hooks = [item for item in objects if webhooks.is_webhook(item)]
        rest = [item for item in objects if not webhooks.is_webhook(item)]
        installer = manifests.Installer(self._plane.api)
        installer.install(rest)
        for name in self.system.replaces:
            self._plane.replaced.add(name)
            self._plane.components[name].end()
        if self.system.webhooks_first:
            installer.install(hooks)
        self._installed = True
        self.start()
        self._plane.supervise_companions()
        if not self.system.webhooks_first:
            installer.install(hooks)

    def dress(
        self, workload: Workload, objects: Sequence[JsonObject]
    ) -> list[JsonObject]:
        """Return the objects of a workload as the system expects them."""
        return dialects.dressed(self.system, workload, objects)

    def owner_of(self, workload: Workload) -> tuple[str, str] | None:
        """Return kind and name of what owns the pods, where it is not as usual."""
        return dialects.owner_of(self.system, workload)

    def status_of(self, workload: Workload) -> OwnStatus | None:
        """Return where it says how it stands with a workload; None where nowhere."""
        return dialects.status_of(self.system, workload)

    def uninstall(self) -> None:
        """End its processes and forget them; its objects stay."""
        self.end()
        self._installed = False
        for process in self.system.all_processes:
            self._plane.services.pop(process.name, None)
        self._plane.supervise_companions()
        for name in self.system.replaces:
            self._plane.replaced.discard(name)

    def start(self) -> None:
        """
        Start its processes afresh and return when they are ready.

        Harmless while it is not installed.

        Raises:
            ClusterError: One ended, or is not ready in time.

        """
        if not self._installed:
            return
        began_s = time.monotonic()
        limit_s = seconds(self.system.start_timeout, name="start_timeout")
        try:
            for process in self.system.all_processes:
                self._start_one(process, began_s + limit_s)
        except BaseException:
            with suppress(HarnessError):
                self.end()
            raise
        self.start_s = time.monotonic() - began_s

    def end(self) -> None:
        """End its processes; harmless when they are not there."""
        for service in reversed(self.services):
            service.end()

    def _start_one(self, process: SystemProcess, deadline_s: float) -> None:
        def make(observer: Callable[[str, str], None]) -> SystemService:
            return SystemService(
                self.system,
                process,
                plane=self._plane,
                program=self._programs[process.name],
                certs=self._certs,
                observer=observer,
            )

        service = self._plane.service(process.name, make)
        if not isinstance(service, SystemService):
            raise BadInput(
                f"system {self.system.name!r}: the cluster has a process "
                f"{process.name!r} already: choose another name"
            )
        service.begin()
        left_s = max(_INTERVAL_S, deadline_s - time.monotonic())
        # A process that ends while it starts is seen at once, not at the deadline.
        over = retrying.until(
            lambda: service.healthy() or not service.running,
            timeout_s=left_s,
            interval_s=_INTERVAL_S,
        )
        if not over or not service.healthy():
            when = "" if over else f" within {self.system.start_timeout}"
            raise ClusterError(
                f"system {self.system.name!r} did not get ready{when}: "
                f"{service.why_not()}"
            )

    def _objects(self) -> list[JsonObject]:
        kubectl = self._asset("kubectl")
        left_out = manifests.LEFT_OUT | set(self.system.skip)
        found = [
            item
            for item in manifests.read(self.system.manifests, kubectl)
            if item["kind"] not in left_out
        ]
        self._check_served(found)
        services = sorted(set().union(*map(webhooks.services_of, found)))
        names = [f"{name}.{space}.svc" for space, name in services]
        files = make_serving_files(self._certs, names)
        ports = self.system.webhook_ports
        if not ports:
            return found
        return [
            webhooks.led_to_loopback(
                item,
                ports,
                lambda name: system_port(self._plane, self.system, name),
                files.ca_bundle,
            )
            for item in found
        ]

    def _check_served(self, objects: Sequence[JsonObject]) -> None:
        """Say what this cluster cannot take before anything is changed."""
        own = {
            (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            for item in objects
            if item["kind"] == "CustomResourceDefinition"
            for spec in (item["spec"],)
            for version in spec["versions"]
        }
        discovery = Discovery(self._plane.api)
        for item in objects:
            if (item["apiVersion"], item["kind"]) in own:
                continue
            try:
                discovery.resource(item)
            except BadInput as error:
                raise BadInput(
                    f"system {self.system.name!r}: {item['kind']} "
                    f"{item['metadata']['name']}: {error}; skip=[{item['kind']!r}] "
                    "leaves it out"
                ) from error

    def _find_programs(self) -> None:
        for process in self.system.all_processes:
            if process.name not in self._programs:
                self._programs[process.name] = self._program(process)
            if process.mounts:
                mounts.check()

    def _program(self, process: SystemProcess) -> Program:
        text = str(process.binary)
        if text.startswith(ASSET):
            return Program(path=self._asset(text.removeprefix(ASSET)))
        if text.startswith(IMAGE):
            from pytest_knav.systems.oci import program_of_image  # noqa: PLC0415 - rare

            return program_of_image(text.removeprefix(IMAGE))
        return program_of_path(self.system, process)
