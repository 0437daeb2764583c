"""Who is how busy: loads by target, the newest word on each resource counts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_knav.errors import BadInput
from pytest_knav.utilization.profiles import Profile, as_profile


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.utilization.amounts import Amount

    # Finds a Pod object by namespace and name.
    FindPod = Callable[[str, str], Mapping[str, Any] | None]

Resource = Literal["cpu", "memory", "gpu"]
RESOURCES: Final[tuple[Resource, ...]] = ("cpu", "memory", "gpu")
# Each is a branch of an expression that KWOK evaluates for every container.
ENTRIES_MAX: Final = 200
_FULL: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    How busy something is; None leaves what was said before.

    Attributes:
        cpu: Cores of a pod, or percent of what it requests.
        memory: Bytes of a pod, or percent of what it requests.
        gpu: Percent of each GPU.

    """

    cpu: Profile | None = None
    memory: Profile | None = None
    gpu: Profile | None = None

    @classmethod
    def of(
        cls,
        *,
        cpu: Profile | Amount | None = None,
        memory: Profile | Amount | None = None,
        gpu: Profile | Amount | None = None,
    ) -> Load:
        """
        Return a load of profiles, or amounts that stay.

        Raises:
            BadInput: One is neither, a GPU is to be busier than 100 percent, or
                nothing is said at all.

        """
        given = {"cpu": cpu, "memory": memory, "gpu": gpu}
        found = {
            name: as_profile(value, name)
            for name, value in given.items()
            if value is not None
        }
        if not found:
            raise BadInput("a load says nothing: give cpu=, memory= or gpu=")
        percent = found.get("gpu")
        if percent is not None and percent.highest > _FULL:
            raise BadInput(
                f"gpu={gpu!r} goes up to {percent.highest:g}: give percent from 0 to "
                "100"
            )
        return cls(**found)

    def profile(self, resource: Resource) -> Profile | None:
        """Return the profile of a resource."""
        profiles = {"cpu": self.cpu, "memory": self.memory, "gpu": self.gpu}
        return profiles[resource]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    Which pods a load is of: those that fit all that is given; without any, all.

    Attributes:
        label: What to call it in messages.
        namespace: Their namespace.
        name: Their name.
        labels: Labels that they have.
        node: Where they are. Alone, it also means the node's GPUs that no pod has.

    """

    label: str
    namespace: str = ""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    node: str = ""

    def fits(self, pod: Mapping[str, Any]) -> bool:
        """Return whether a Pod object is meant."""
        metadata = pod["metadata"]
        own = metadata.get("labels") or {}
        node = pod.get("spec", {}).get("nodeName", "")
        return (
            self.namespace in {"", metadata.get("namespace", "default")}
            and self.name in {"", metadata["name"]}
            and self.node in {"", node}
            and all(own.get(key) == value for key, value in self.labels)
        )

    @property
    def of_node(self) -> bool:
        """Return whether it means a node and everything there."""
        return bool(self.node) and not (self.namespace or self.name or self.labels)


EVERY_POD: Final = Target(label="every pod")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was said of one resource of a target, and when it began."""

    target: Target
    resource: Resource
    profile: Profile
    began_s: float
    seed: int

    def value_at(self, now_s: float, detail: str = "") -> float:
        """
        Return the value at a time on the monotonic clock.

        Args:
            now_s: The time.
            detail: What has noise of its own below the target, such as one GPU.

        """
        seed = _seed(self.seed, self.target.label, self.resource, detail)
        return self.profile.value_at(now_s - self.began_s, seed)


class LoadBook:
    """
    Knows how busy each pod and each GPU of a cluster is to be; for any thread.

    Args:
        find_pod: Finds the Pod object of a namespace and name, or None.
        seed: What noise comes from.

    """

    def __init__(self, find_pod: FindPod, seed: int = 0) -> None:
        self._find_pod = find_pod
        self._seed = seed
        self._lock = threading.Lock()
        self._entries: dict[tuple[Resource, Target], Entry] = {}

    def set(self, target: Target, load: Load, now_s: float) -> None:
        """
        Say how busy a target is from a time on; the last word on a pod counts.

        Raises:
            BadInput: There are too many targets.

        """
        with self._lock:
            for resource in RESOURCES:
                profile = load.profile(resource)
                if profile is None:
                    continue
                # The newest is last.
                self._entries.pop((resource, target), None)
                if len(self._entries) >= ENTRIES_MAX:
                    raise BadInput(
                        f"{target.label}: there are loads of {ENTRIES_MAX} targets "
                        "already: give one to a whole workload or node"
                    )
                self._entries[resource, target] = Entry(
                    target=target,
                    resource=resource,
                    profile=profile,
                    began_s=now_s,
                    seed=self._seed,
                )

    def entries(self, resource: Resource) -> list[Entry]:
        """Return what was said of a resource, the newest first."""
        with self._lock:
            found = [e for e in self._entries.values() if e.resource == resource]
        return found[::-1]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def entry_of(self, resource: Resource, pod: Mapping[str, Any]) -> Entry | None:
        """Return what counts for a Pod object, or None where nobody has said."""
        entries = self.entries(resource)
        return next((e for e in entries if e.target.fits(pod)), None)

    def gpu_percent(
        self, pod: tuple[str, str] | None, node: str, gpu: int, now_s: float
    ) -> float | None:
        """
        Return how busy a GPU is, from 0 to 100; None where nobody has said.

        Args:
            pod: Namespace and name of the pod that holds it; None when it is free.
            node: The node it sits in.
            gpu: Its index in the node.
            now_s: The time on the monotonic clock.

        """
        entry = self._gpu_entry(pod, node)
        if entry is None:
            return None
        return min(_FULL, entry.value_at(now_s, f"{node}/{gpu}"))

    def _gpu_entry(self, pod: tuple[str, str] | None, node: str) -> Entry | None:
        entries = self.entries("gpu")
        if not entries:
            return None
        if pod is None:
            of_node = (e for e in entries if e.target.of_node)
            return next((e for e in of_node if e.target.node == node), None)
        found = self._find_pod(*pod)
        if found is None:
            return None
        return next((e for e in entries if e.target.fits(found)), None)


def marked_load(value: object) -> Load:
    """
    Return the load of every pod that a mark asks for.

    Args:
        value: A dict of cpu, memory and gpu, or what cpu and gpu are alike, in percent.

    Raises:
        BadInput: It is neither.

    """
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in RESOURCES]
        if unknown:
            raise BadInput(
                f"knav(utilization=…): there is no {unknown[0]!r}: use "
                f"{', '.join(RESOURCES)}"
            )
        try:
            return Load.of(**value)
        except BadInput as error:
            raise BadInput(f"knav(utilization={dict(value)!r}): {error}") from error
    alike = as_profile(value, "knav(utilization)")
    if not alike.share:
        raise BadInput(
            f'knav(utilization={value!r}): give percent such as "80%", or say of '
            'what: {"cpu": …, "memory": …, "gpu": …}'
        )
    return Load.of(cpu=alike, gpu=alike)


def _seed(*parts: object) -> int:
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
