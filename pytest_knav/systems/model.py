"""
Systems as frozen values: schedulers and operators that are put beside a cluster.

Nothing here speaks to a cluster. Every value checks itself when it is made, so a wrong
one fails at its own line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.systems.placeholders import check_placeholders


#: A file, a folder, a kustomization, a URL, or one object.
ManifestSource: TypeAlias = str | Path | Mapping[str, Any]

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")
#: How `Gang` and `Job` are rendered for a system.
DIALECTS: Final = ("native", "kueue", "volcano", "coscheduling", "kai", "jobset")
#: What is said for "the system's webhooks are served by its process here".
LOOPBACK: Final = "loopback"
#: The name of the port that `webhooks="loopback"` means.
WEBHOOK_PORT: Final = "webhook"
# Processes of the control plane that a system can stand in for.
REPLACEABLE: Final = ("kube-scheduler",)
# Names that processes of a cluster have already.
_TAKEN: Final = frozenset({
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
    "kwok-controller", "prometheus", "metrics-server",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class SystemProcess:
    """
    One process of a system.

    In `args`, `env`, `ready` and `workdir` these stand for what is only known when it
    runs: `{dir}` its own directory, where the system's files are; `{kubeconfig}`;
    `{port}` a free port of this process, `{port:NAME}` one with a name (of another
    process, or any); `{certs}` a directory with `tls.crt`, `tls.key` and `ca.crt` for
    127.0.0.1 and localhost. Other braces stay as they are. KUBECONFIG is set.

    Attributes:
        name: What it is called: `cluster.component(name)`, logs, faults.
        binary: A path; `asset:kube-scheduler` for a binary of ours; `oci:IMAGE` for an
            image, by tag or digest, without a container engine.
        args: Its arguments; of an image, those after its entry point.
        env: Environment variables on top of this process's own.
        ready: A URL that answers 2xx when it is ready, such as
            `https://127.0.0.1:{port}/readyz`, or `tcp://127.0.0.1:{port}`. Empty: it
            is ready when it has stayed up for a second.
        workdir: Where it runs; by default its own directory.
        mounts: Directories that only this process sees: a hard-coded path, and the
            directory that it finds there. Needs user namespaces of the kernel.
        metrics: A URL that Prometheus scrapes.

    """

    name: str
    binary: str | Path
    _: KW_ONLY
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str = ""
    workdir: str = ""
    mounts: Mapping[str, str] = field(default_factory=dict)
    metrics: str = ""

    def __post_init__(self) -> None:
        what = f"system process {self.name!r}"
        _check_name(what, self.name)
        if self.name in _TAKEN:
            raise BadInput(
                f"{what}: the cluster has a process of that name: choose another one"
            )
        if not isinstance(self.binary, str | Path) or not str(self.binary):
            raise BadInput(
                f"{what} binary={self.binary!r}: give a path, asset:NAME or oci:IMAGE"
            )
        if isinstance(self.args, str):
            raise BadInput(f"{what} args={self.args!r}: give a list of arguments")
        object.__setattr__(self, "args", tuple(self.args))
        for text in (*self.args, *self.env.values(), self.workdir):
            check_placeholders(what, text)
        for field_name in ("ready", "metrics"):
            _check_url(what, field_name, getattr(self, field_name))
        for path, source in self.mounts.items():
            if not path.startswith("/") or path == "/":
                raise BadInput(
                    f"{what} mounts={dict(self.mounts)!r}: {path!r} is no absolute path"
                )
            check_placeholders(what, source)

    def describe(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**found, "binary": str(self.binary), "args": list(self.args)}


@dataclass(frozen=True, slots=True)
class System:
    """
    A scheduler or operator under test: everything that is needed to run it here.

    With one process, `binary` and its companions say which; with several, give
    `processes`. For placeholders see `SystemProcess`.

    Attributes:
        name: What it is called.
        files: Files that are written into the directory of each of its processes, by
            relative path; placeholders are filled in.
        manifests: What it needs in the cluster: files, folders, kustomizations, URLs
            or objects. Deployments and the like are left out: the processes here
            stand for them.
        skip: Kinds that are left out of the manifests besides.
        webhooks: `loopback`: its webhooks and conversions are served on
            `{port:webhook}`; or a mapping of the names of their services to names of
            ports. They get our certificate authority.
        webhooks_first: Whether its webhooks are applied before its processes start;
            some exit when they do not find their own.
        dialect: How `Gang` and `Job` are rendered for it.
        queue: The queue that workloads are put into, where its dialect has queues.
        scheduler_name: What pods get as `schedulerName` unless a workload says it.
        replaces: Processes of the control plane that it stands in for.
        start_timeout: How long its start may take in all.

    """

    name: str
    _: KW_ONLY
    binary: str | Path = ""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str = ""
    workdir: str = ""
    mounts: Mapping[str, str] = field(default_factory=dict)
    metrics: str = ""
    processes: Sequence[SystemProcess] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    manifests: Sequence[ManifestSource] = ()
    skip: Sequence[str] = ()
    webhooks: str | Mapping[str, str] = ""
    webhooks_first: bool = False
    dialect: str = "native"
    queue: str = ""
    scheduler_name: str = ""
    replaces: Sequence[str] = ()
    start_timeout: Duration = "60s"

    def __post_init__(self) -> None:
        what = f"System {self.name!r}"
        _check_name(what, self.name)
        seconds(self.start_timeout, name="start_timeout")
        for name in ("processes", "manifests", "skip", "replaces"):
            value = getattr(self, name)
            if isinstance(value, str | Path | Mapping):
                raise BadInput(f"{what} {name}={value!r}: give a list")
            object.__setattr__(self, name, tuple(value))
        self._check_processes(what)
        if self.dialect not in DIALECTS:
            raise BadInput(
                f"{what} dialect={self.dialect!r}: use one of {', '.join(DIALECTS)}"
            )
        for name in self.replaces:
            if name not in REPLACEABLE:
                raise BadInput(
                    f"{what} replaces={name!r}: use {', '.join(REPLACEABLE)}"
                )
        if isinstance(self.webhooks, str) and self.webhooks not in {"", LOOPBACK}:
            raise BadInput(
                f"{what} webhooks={self.webhooks!r}: give {LOOPBACK!r}, or a mapping "
                "of services to names of ports"
            )
        for path, text in self.files.items():
            if path.startswith("/") or ".." in Path(path).parts:
                raise BadInput(
                    f"{what} files={path!r}: give a path within its directory"
                )
            check_placeholders(f"{what} file {path}", text)

    def _check_processes(self, what: str) -> None:
        single = self.binary or self.args or self.env or self.ready or self.mounts
        if self.processes and single:
            raise BadInput(f"{what}: give binary, args, … or processes, not both")
        names = [process.name for process in self.all_processes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadInput(f"{what} has two processes of the name {twice[0]!r}")
        if not names and not self.manifests:
            raise BadInput(f"{what} has neither a binary nor manifests")

    @property
    def all_processes(self) -> tuple[SystemProcess, ...]:
        """Return its processes, in the order in which they start."""
        if not self.binary:
            return tuple(self.processes)
        return (
            SystemProcess(
                self.name,
                self.binary,
                args=self.args,
                env=self.env,
                ready=self.ready,
                workdir=self.workdir,
                mounts=self.mounts,
                metrics=self.metrics,
            ),
        )

    @property
    def webhook_ports(self) -> Mapping[str, str]:
        """Return the port's name by service; the empty name stands for any service."""
        if isinstance(self.webhooks, str):
            return {"": WEBHOOK_PORT} if self.webhooks else {}
        return self.webhooks

    @property
    def digest(self) -> str:
        """Return what tells it from every other system, builds of a binary included."""
        stamps = []
        for process in self.all_processes:
            path = Path(str(process.binary)).expanduser()
            if path.is_file():
                status = path.stat()
                stamps.append((str(path), status.st_size, status.st_mtime_ns))
        text = json.dumps([self.describe(), stamps], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def describe(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "name": self.name,
            "processes": [process.describe() for process in self.all_processes],
            **{
                name: getattr(self, name)
                for name in (
                    "files", "skip", "webhooks", "webhooks_first", "dialect", "queue",
                    "scheduler_name", "replaces", "start_timeout",
                )
            },
            "manifests": [
                m if isinstance(m, Mapping) else str(m) for m in self.manifests
            ],
        }  # fmt: skip


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadInput(
            f"{what}: use 1 to 42 lower-case letters, digits and dashes as a name"
        )


def _check_url(what: str, name: str, text: str) -> None:
    check_placeholders(what, text)
    if text and not text.startswith(("http://", "https://", "tcp://")):
        raise BadInput(
            f"{what} {name}={text!r}: give a URL such as "
            "https://127.0.0.1:{port}/readyz, or tcp://127.0.0.1:{port}"
        )
