"""
Workloads as frozen values; nothing here speaks to a cluster.

Every value checks itself when it is made, so a wrong one fails at its own line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.workloads.collective import (
    ON_MEMBER_LOSS,
    Collective,
    OnMemberLoss,
)
from pytest_knav.workloads.pods import PodInfo


if TYPE_CHECKING:
    from pathlib import Path


_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Job names leave room for "-<index>-<suffix>" in the names of their pods.
MAX_JOB_NAME = 52
DEFAULT_CHECKPOINT = "1h"


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    _: KW_ONLY
    namespace: str = "default"
    gpus_per_pod: int = 0
    cpus_per_pod: float = 1.0
    memory_gib_per_pod: float = 1.0
    run_for: Duration | None = None
    priority_class: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    scheduler_name: str | None = None

    def __post_init__(self) -> None:
        """Check what all workloads have in common."""
        kind = type(self).__name__
        for what, value in (("name", self.name), ("namespace", self.namespace)):
            if not isinstance(value, str) or not _NAME.fullmatch(value):
                raise BadInput(
                    f"{kind} {what}={value!r}: use 1 to 63 lower-case letters, digits "
                    "and dashes (RFC 1123)"
                )
        _whole(f"{kind} {self.name!r} gpus_per_pod", self.gpus_per_pod, least=0)
        for what, amount in (
            ("cpus_per_pod", self.cpus_per_pod),
            ("memory_gib_per_pod", self.memory_gib_per_pod),
        ):
            if isinstance(amount, bool) or not isinstance(amount, int | float):
                raise BadInput(f"{kind} {self.name!r} {what}={amount!r} is no number")
            if amount <= 0:
                raise BadInput(f"{kind} {self.name!r} {what}={amount!r}: more than 0")
        if self.run_for is not None:
            seconds(self.run_for, name="run_for")

    @property
    def expected_pods(self) -> int:
        """Return how many pods run at once when the workload is up."""
        return 1


@dataclass(frozen=True, slots=True)
class Pod(_Named):
    """A single pod. Nothing makes it again when it is lost."""


@dataclass(frozen=True, slots=True)
class Deployment(_Named):
    """Replicas without an identity of their own; each is replaced when it is lost."""

    _: KW_ONLY
    replicas: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        _Named.__post_init__(self)
        _whole(f"Deployment {self.name!r} replicas", self.replicas, least=1)
        if self.run_for is not None:
            raise BadInput(
                f"Deployment {self.name!r} run_for={self.run_for!r}: "
                "a Deployment never ends; use a Job"
            )

    @property
    def expected_pods(self) -> int:
        """Return the number of replicas."""
        return self.replicas


@dataclass(frozen=True, slots=True)
class Job(_Named):
    """
    An Indexed Job: each index runs once to its end.

    A lost pod counts against its own index only (`backoffLimitPerIndex`, KEP-3850):
    with the default `backoffLimit` a node loss fails the whole Job, healthy pods
    included. See docs/explanation/job-traps.md.

    Attributes:
        completions: How many indexes.
        parallelism: How many run at once; by default all.
        backoff_limit_per_index: Failures that one index may have.

    """

    _: KW_ONLY
    completions: int = 1
    parallelism: int | None = None
    backoff_limit_per_index: int = 6

    def __post_init__(self) -> None:
        """Check the values."""
        _Named.__post_init__(self)
        _check_job_name("Job", self.name)
        _whole(f"Job {self.name!r} completions", self.completions, least=1)
        if self.parallelism is not None:
            _whole(f"Job {self.name!r} parallelism", self.parallelism, least=1)
        limit = self.backoff_limit_per_index
        _whole(f"Job {self.name!r} backoff_limit_per_index", limit, least=0)

    @property
    def expected_pods(self) -> int:
        """Return how many pods run at once."""
        return min(self.completions, self.parallelism or self.completions)


@dataclass(frozen=True, slots=True)
class Gang(_Named):
    """
    Pods that are worth something only all together.

    An Indexed Job, so that a lost member is made again, whose pods belong to a native
    PodGroup (`scheduling.k8s.io/v1alpha2`, KEP-4671) with `minCount` = `replicas`.

    Attributes:
        replicas: How many members.
        topology_key: Node label whose value all members must share (KEP-5732), such as
            `topology.kubernetes.io/rack`.
        backoff_limit_per_index: How often one member may be lost.
        on_member_loss: What the other members do when one is lost, or cannot reach
            them any more. `fail`: after `collective_timeout` their containers end
            (exit code 134), they are made again, and work goes on from the last
            checkpoint. `hang`: they wait for good, while the API says Running.
            `elastic`: the rest goes on, and takes in whoever comes back. None:
            members know nothing of each other.
        collective_timeout: After how long they notice; by default that of the time
            profile: PyTorch's 10 minutes in `real`.
        checkpoint_every: How often progress is made safe, from when all run; by
            default every hour, an assumption.

    """

    replicas: int = 1
    _: KW_ONLY
    topology_key: str | None = None
    backoff_limit_per_index: int = 6
    on_member_loss: OnMemberLoss | None = None
    collective_timeout: Duration | None = None
    checkpoint_every: Duration | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        _Named.__post_init__(self)
        _check_job_name("Gang", self.name)
        _whole(f"Gang {self.name!r} replicas", self.replicas, least=1)
        limit = self.backoff_limit_per_index
        _whole(f"Gang {self.name!r} backoff_limit_per_index", limit, least=0)
        self._check_collective()

    def _check_collective(self) -> None:
        loss = self.on_member_loss
        if loss is not None and loss not in ON_MEMBER_LOSS:
            raise BadInput(
                f"Gang {self.name!r} on_member_loss={loss!r}: use one of "
                f"{', '.join(ON_MEMBER_LOSS)}, or None"
            )
        for what in ("collective_timeout", "checkpoint_every"):
            value = getattr(self, what)
            if value is None:
                continue
            if loss is None:
                raise BadInput(
                    f"Gang {self.name!r} {what}={value!r}: it needs on_member_loss, "
                    f"one of {', '.join(ON_MEMBER_LOSS)}"
                )
            if seconds(value, name=what) <= 0:
                raise BadInput(f"Gang {self.name!r} {what}={value!r}: more than 0")

    @property
    def collective(self) -> Collective | None:
        """Return how its members hang together, or None where they do not."""
        if self.on_member_loss is None:
            return None
        limit = self.collective_timeout
        every = self.checkpoint_every or DEFAULT_CHECKPOINT
        return Collective(
            on_loss=self.on_member_loss,
            timeout_s=None if limit is None else seconds(limit),
            checkpoint_s=seconds(every),
            gpus=self.gpus_per_pod,
        )

    @property
    def expected_pods(self) -> int:
        """Return the number of members."""
        return self.replicas


ReadyTest: TypeAlias = Callable[[Sequence[PodInfo]], bool]


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    Any Kubernetes objects, as they are.

    Attributes:
        source: YAML text, the path of a YAML file, one object, or a list of objects.
        name: What it is called in messages; by default the first object's name.
        pods: Label selector (`"app=llama"`) of the pods that are its own.
        ready: When it is up: a number of pods that run and are ready, or a function of
            its live pods.

    """

    source: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]
    _: KW_ONLY
    name: str = ""
    pods: str | None = None
    ready: int | ReadyTest = 1


Workload: TypeAlias = Pod | Job | Deployment | Gang | Manifest


def _whole(what: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(f"{what}={value!r}: give a whole number of at least {least}")


def _check_job_name(kind: str, name: str) -> None:
    if len(name) > MAX_JOB_NAME:
        raise BadInput(
            f"{kind} name={name!r} has {len(name)} characters: at most {MAX_JOB_NAME}, "
            "because the names of its pods add an index and a suffix"
        )
