"""Where invariants could be red without reason, or green without a look."""

from __future__ import annotations

from typing import Any

import pytest


UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"


def tolerates(key: str, seconds: float | None) -> dict[str, Any]:
    """Return a toleration for a taint that evicts."""
    found: dict[str, Any] = {"key": key, "operator": "Exists", "effect": "NoExecute"}
    return found if seconds is None else {**found, "tolerationSeconds": seconds}


class TestEviction:
    """As taint_eviction.go has it, and no stricter."""

    def story_of(
        self, story: Any, *tolerations: dict[str, Any], evicted: float
    ) -> None:
        """Let a pod be evicted from n1, which is not ready from 10 s on."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1", tolerations=tolerations)
        story.node(10, "n1", f"{NOT_READY}:NoExecute")
        story.pod(
            evicted,
            "w-0-a",
            "n1",
            tolerations=tolerations,
            deleting=True,
            reason="DeletionByTaintManager",
        )

    @pytest.mark.parametrize(
        ("evicted", "status"), [(40.5, "pass"), (15.5, "fail"), (60.0, "fail")]
    )
    def test_the_first_toleration_that_matches_counts(
        self, story: Any, evicted: float, status: str
    ) -> None:
        """Of two for one taint the second says nothing, however short it is."""
        both = tolerates(NOT_READY, 30), tolerates(NOT_READY, 5)
        self.story_of(story, *both, evicted=evicted)

        assert story.status("eviction") == status

    def test_a_negative_toleration_is_none(self, story: Any) -> None:
        """Less than no time at all is no time at all."""
        self.story_of(story, tolerates(NOT_READY, -20), evicted=11)

        assert story.status("eviction") == "pass"

    def swapped(self, story: Any, second_s: float, *, evicted: float | None) -> None:
        """Let the taint of 10 s be swapped for another one at 25 s."""
        both = tolerates(NOT_READY, 30), tolerates(UNREACHABLE, second_s)
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1", tolerations=both)
        story.node(10, "n1", f"{NOT_READY}:NoExecute")
        story.node(25, "n1", f"{UNREACHABLE}:NoExecute")
        if evicted is not None:
            why = "DeletionByTaintManager"
            story.pod(
                evicted, "w-0-a", "n1", tolerations=both, deleting=True, reason=why
            )

    @pytest.mark.parametrize("second_s", [5, 30])
    def test_a_swapped_taint_keeps_the_clock(self, story: Any, second_s: float) -> None:
        """Not Ready becomes unreachable: what was due at 40 s goes at 40 s."""
        self.swapped(story, second_s, evicted=40.2)

        assert story.status("eviction") == "pass"

    @pytest.mark.parametrize(
        ("evicted", "status"), [(15.0, "fail"), (None, "fail"), (40.2, "pass")]
    )
    def test_a_swap_is_no_excuse(
        self, story: Any, evicted: float | None, status: str
    ) -> None:
        """Long before the first is over, and long after both are, is wrong."""
        if evicted == 15.0:
            self.story_of(story, tolerates(NOT_READY, 30), evicted=evicted)
        else:
            self.swapped(story, 30, evicted=evicted)

        assert story.status("eviction", until=200) == status

    def test_a_second_taint_without_toleration_evicts_at_once(self, story: Any) -> None:
        """It does not wait for what the first taint would have allowed."""
        long = tolerates(NOT_READY, 300)
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1", tolerations=[long])
        story.node(10, "n1", f"{NOT_READY}:NoExecute")
        story.node(20, "n1", f"{NOT_READY}:NoExecute", "bad:NoExecute")

        assert story.status("eviction", until=60) == "fail"


class TestCollateral:
    """Only a taint excuses an eviction for a taint."""

    def evict(self, story: Any, at: float) -> None:
        """Evict the pod of n2 for a taint; it is gone at once."""
        story.pod(at, "w-0-a", "n2", reason="DeletionByTaintManager")
        story.gone(at + 0.1, "w-0-a")

    def story_of(self, story: Any) -> None:
        """Break n1; n2 has a pod, and one that ends."""
        story.node(0, "n1")
        story.node(0, "n2")
        story.start(1, "w-0-a", "n2", gpus=1)
        story.start(1, "v-0-a", "n2", gpus=1)
        story.inject(10, "n1")

    def test_gone_at_once(self, story: Any) -> None:
        """Its own going is no excuse for it."""
        self.story_of(story)
        self.evict(story, 20)

        assert story.status("collateral") == "fail"

    def test_another_pod_that_has_ended(self, story: Any) -> None:
        """That somebody else has made room does not explain it."""
        self.story_of(story)
        story.pod(19, "v-0-a", "n2", gpus=1, phase="Succeeded")
        story.pod(
            20, "w-0-a", "n2", gpus=1, deleting=True, reason="DeletionByTaintManager"
        )

        assert story.status("collateral") == "fail"

    @pytest.mark.parametrize(("since_s", "status"), [(1, "pass"), (9, "fail")])
    def test_a_taint_that_was_just_taken_back(
        self, story: Any, since_s: float, status: str
    ) -> None:
        """It was decided while the taint was there, or long after."""
        self.story_of(story)
        story.node(11, "n2", "bad:NoExecute")
        story.node(20 - since_s, "n2")
        self.evict(story, 20)

        assert story.status("collateral") == status


class TestSettled:
    """What cannot be judged is not called well."""

    def story_of(self, story: Any, **promise: Any) -> None:
        """Break and mend n1; the replacement of its pod waits for ever."""
        story.submit(expected=1, **promise)
        story.job(0)
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        story.inject(10, "n1")
        story.gone(20, "w-0-a")
        story.pod(21, "w-0-b")
        story.clear(30)

    def test_whether_it_fits_is_not_seen(self, story: Any) -> None:
        """A place for all at once may be missing; that is not known to be well."""
        self.story_of(story, topology_key="rack")

        found = story.judge("settled", until=200)

        assert found.verdict.status == "pass"
        assert found.as_asked().status == "inconclusive"

    def test_what_is_seen_is_judged(self, story: Any) -> None:
        """The same without a place to share starves."""
        self.story_of(story)

        assert story.status("settled", until=200) == "fail"


class TestPlacement:
    """A toleration is for the taint that it names."""

    @pytest.mark.parametrize(
        ("toleration", "status"),
        [
            ({"key": "xid", "operator": "Exists"}, "pass"),
            ({"operator": "Exists"}, "pass"),
            ({"key": "other", "operator": "Exists"}, "fail"),
            ({"key": "xid", "operator": "Exists", "effect": "NoExecute"}, "fail"),
        ],
    )
    def test_tainted_device(
        self, story: Any, toleration: dict[str, str], status: str
    ) -> None:
        """A claim that tolerates one taint is given no device with another."""
        story.slice_(1, gpu_0="xid:NoSchedule")
        story.claim(20, "c")
        story.claim(21, "c", "gpu-0", tolerations=[toleration])

        assert story.status("placement") == status
