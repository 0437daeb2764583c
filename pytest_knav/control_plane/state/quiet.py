"""What writes by itself is held, or ends and begins afresh, while a state is put in."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import overrides, retrying
from pytest_knav.control_plane.kwokctl import COMPONENTS
from pytest_knav.control_plane.overrides import Override
from pytest_knav.control_plane.state.etcd import Etcd
from pytest_knav.control_plane.state.places import NAMES_ALONE
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.control_plane.components import Component
    from pytest_knav.control_plane.plane import ControlPlane

HEALTHY_TIMEOUT_S: Final = 60.0
_PODS: Final = "/api/v1/pods"
# A kubelet that lives ends a deleted pod within a few milliseconds; what takes longer
# is on a dead node, or held by a finalizer or a fault.
_STUCK_S: Final = 0.5
_ENDING_TIMEOUT_S: Final = 10.0
_ELECTIONS: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
# What makes and deletes objects by itself. They end with a reset and start after it,
# because their memory is state too: back-off queues, caches, estimates.
WORKING: Final = ("kube-controller-manager", "kube-scheduler")


class Quiet:
    """
    Holds everything that moves in one control plane of ours, and lets it go on.

    Args:
        plane: The control plane; its API server stays up throughout.

    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._etcd = Etcd(plane.etcd_url)
        # Whether KWOK has let any node go since the last restore.
        self._kwok_afresh = False

    def go_on(self) -> None:
        """Let everything go on that `begin` holds; harmless when it holds nothing."""
        for component in self._moving():
            component.release()

    def _moving(self) -> list[Component]:
        return [self._plane.components[n] for n in (*WORKING, "kwok-controller")]

    def _heal(self) -> None:
        """Start and resume what a restore needs and a fault has left dead or held."""
        if self._plane.network is not None:
            self._plane.network.heal()
        for name in WORKING:
            overrides.write(self._plane.workdir, name, Override())
        parts = [self._plane.components[c] for c in COMPONENTS if c not in WORKING]
        for component in parts:
            component.release()
            if component.override:
                component.configure(Override())
            component.start()
        for component in parts:
            component.wait_healthy(timeout=HEALTHY_TIMEOUT_S)
        # It outlives etcd's process, and nothing could be written.
        self._etcd.disarm()

    @contextmanager
    def quiet(self, *, live: bool = True, pods: bool = False) -> Iterator[None]:
        """
        Hold everything that writes by itself; afterwards let it begin afresh.

        KWOK is held, and goes on as it was unless it has let nodes go: a new one lists
        everything again.

        Args:
            live: Whether it begins afterwards.
            pods: Whether pods will be put in: then KWOK first ends those that are
                being deleted.

        """
        components = self._plane.components
        for companion in self._plane.companions:
            companion.end()
        for name in WORKING:
            components[name].end()
        if pods:
            self._let_pods_end()
        components["kwok-controller"].hold()
        try:
            yield
        except BaseException:
            self._start_working()
            raise
        if live:
            self.wake()

    def _let_pods_end(self) -> None:
        """
        Return when no pod is being deleted any more, or those that are do not end.

        KWOK deletes by name alone (pkg/kwok/controllers/pod_controller.go,
        deleteResource): what it has in its queue when it is held would hit the pod
        that a restore puts in under the same name.
        """
        seen: dict[str, float] = {}

        def over() -> bool:
            # An empty list comes as null.
            items = self._plane.api.get_as(_PODS, NAMES_ALONE)["items"] or ()
            now = time.monotonic()
            ending = {
                item["metadata"]["uid"]
                for item in items
                if "deletionTimestamp" in item["metadata"]
            }
            for uid in ending:
                seen.setdefault(uid, now)
            return all(now - seen[uid] >= _STUCK_S for uid in ending)

        retrying.until(over, timeout_s=_ENDING_TIMEOUT_S)

    def wake(self) -> None:
        """Let everything run that `quiet` held, and return when it is healthy."""
        # Leases go on, and what the controllers ask for is answered when they begin.
        self._let_kwok_go()
        for companion in self._plane.companions:
            companion.start()
        self._start_working()
        for name in self._working():
            self._plane.components[name].wait_healthy(timeout=HEALTHY_TIMEOUT_S)

    def _working(self) -> list[str]:
        return [name for name in WORKING if name not in self._plane.replaced]

    def _start_working(self) -> None:
        for name in self._working():
            if self._plane.config.leader_election:
                # Who was killed has not given it back, and would be waited for.
                with suppress(ClusterError):
                    self._plane.api.delete(f"{_ELECTIONS}/{name}")
            self._plane.components[name].start()
        self._let_kwok_go()

    def _let_kwok_go(self) -> None:
        """
        Let KWOK go on, or begin afresh where it had to let nodes go.

        A node that it lets go while it is about to renew its lease, and takes again
        later, is twice in its queue; then nothing behind it is ever renewed (kwok 0.8,
        pkg/utils/heap/heap.go: Push knows only the newer of two equal entries, Remove
        takes that one, and the older blocks the head).
        """
        if self._kwok_afresh:
            self._kwok_afresh = self._plane.kubelets_let_go = False
            self.revive_kubelets()
        self._plane.components["kwok-controller"].release()

    def revive_kubelets(self) -> None:
        """Let KWOK begin afresh, and return when it is healthy."""
        kwok = self._plane.components["kwok-controller"]
        kwok.end()
        kwok.start()
        kwok.wait_healthy(timeout=HEALTHY_TIMEOUT_S)
