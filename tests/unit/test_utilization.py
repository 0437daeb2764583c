"""Loads: whom they are of, which of them counts, and how KWOK is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.utilization import Load, LoadBook, constant, ramp
from pytest_knav.utilization.model import ENTRIES_MAX, EVERY_POD, Target, marked_load
from pytest_knav.utilization.objects import METRIC_PATH, USAGE_PATH, expression, used
from pytest_knav.utilization.serving import Serving


if TYPE_CHECKING:
    from collections.abc import Mapping

NODE = Target(label="node n1", node="n1")
WEB = Target(label="web", namespace="default", labels=(("app", "web"),))


def pod(name: str, node: str = "n1", **labels: str) -> dict[str, Any]:
    """Return a Pod object."""
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"metadata": metadata, "spec": {"nodeName": node}}


def book_of(*pods: dict[str, Any], seed: int = 0) -> LoadBook:
    """Return a book that knows pods."""
    known = {(p["metadata"]["namespace"], p["metadata"]["name"]): p for p in pods}
    return LoadBook(lambda namespace, name: known.get((namespace, name)), seed)


def test_the_last_word_on_a_pod_counts_for_each_resource() -> None:
    """A later load of a wider target wins, and only in what it says."""
    web = pod("w", app="web")
    book = book_of(web)

    book.set(WEB, Load.of(cpu=1, gpu=10), 0)
    book.set(NODE, Load.of(gpu=20), 0)
    book.set(EVERY_POD, Load.of(cpu=3), 0)
    book.set(WEB, Load.of(cpu=5), 0)

    found = {r: book.entry_of(r, web) for r in ("cpu", "memory", "gpu")}
    assert found["cpu"] is not None
    assert found["cpu"].value_at(0) == 5
    assert found["gpu"] is not None
    assert found["gpu"].target is NODE
    assert found["memory"] is None


def test_a_gpu_is_as_busy_as_its_pod() -> None:
    """A profile begins when it is set; a GPU that nobody spoke of has no load."""
    book = book_of(pod("w", app="web"), pod("other"))

    book.set(WEB, Load.of(gpu=ramp(0, 100, over=10)), 100)

    assert book.gpu_percent(("default", "w"), "n1", 0, 105) == 50
    assert book.gpu_percent(("default", "other"), "n1", 1, 105) is None
    assert book.gpu_percent(("default", "gone"), "n1", 2, 105) is None
    assert book.gpu_percent(None, "n1", 3, 105) is None


def test_a_load_of_a_node_is_also_that_of_its_free_gpus() -> None:
    """A load of pods says nothing of a GPU that no pod has."""
    book = book_of()
    book.set(NODE, Load.of(gpu=70), 0)
    book.set(EVERY_POD, Load.of(gpu=30), 0)

    assert book.gpu_percent(None, "n1", 0, 1) == 70
    assert book.gpu_percent(None, "n2", 0, 1) is None


def test_noise_differs_between_gpus_and_stays_within_100() -> None:
    """Each GPU has noise of its own, from the seed alone."""
    pods = [pod("w", app="web")]
    load = Load.of(gpu=constant(90, noise=0.5))
    book, again, other = (book_of(*pods, seed=seed) for seed in (1, 1, 2))
    for one in (book, again, other):
        one.set(WEB, load, 0)

    def values(of: LoadBook, gpu: int) -> list[float | None]:
        return [of.gpu_percent(("default", "w"), "n1", gpu, t) for t in range(20)]

    assert values(book, 0) == values(again, 0)
    assert values(book, 0) != values(book, 1)
    assert values(book, 0) != values(other, 0)
    assert max(v for v in values(book, 0) if v is not None) == 100


def test_targets_are_bounded() -> None:
    """The same target may be set again; another one too many is refused."""
    book = book_of()
    for number in range(ENTRIES_MAX):
        book.set(Target(label="p", name=f"p{number}"), Load.of(cpu=1), 0)
    book.set(Target(label="p", name="p0"), Load.of(cpu=2), 0)

    with pytest.raises(BadInput, match=f"loads of {ENTRIES_MAX} targets already"):
        book.set(Target(label="more", name="more"), Load.of(cpu=1), 0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "a load says nothing: give cpu=, memory= or gpu="),
        ({"gpu": 101}, "gpu=101 goes up to 101: give percent from 0 to 100"),
        ({"cpu": -1}, "cpu=-1: a load cannot be negative"),
        ({"memory": "much"}, "memory='much' is no amount"),
    ],
)
def test_bad_loads_are_refused(given: dict[str, Any], says: str) -> None:
    """The message has the resource, the value and what is allowed."""
    with pytest.raises(BadInput, match=says):
        Load.of(**given)


def test_a_marked_share_is_that_of_cpu_and_gpu() -> None:
    """A dict says each by itself."""
    alike, apart = marked_load("80%"), marked_load({"memory": "6Gi"})

    assert alike.cpu == alike.gpu == constant("80%")
    assert alike.memory is None
    assert apart == Load(memory=constant("6Gi"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (4, r"utilization=4\): give percent such as \"80%\", or say of what"),
        ({"disk": 1}, "there is no 'disk': use cpu, memory, gpu"),
        ({"cpu": "x"}, "'cpu': 'x'.*is no amount"),
        ({}, "a load says nothing"),
        (None, "None is no amount"),
    ],
)
def test_bad_marks_are_refused(value: object, says: str) -> None:
    """The message shows the mark and what it takes."""
    with pytest.raises(BadInput, match=says):
        marked_load(value)


def test_the_expression_has_a_branch_for_each_target() -> None:
    """The newest comes first; who is not spoken of has a little."""
    book = book_of()
    book.set(NODE, Load.of(cpu=ramp(0, 4, over=10)), 0)
    book.set(WEB, Load.of(cpu="50%"), 0)

    text = expression(book, "cpu", 5)

    assert text == (
        'pod.status.phase == "Running" ? ('
        'pod.metadata.namespace == "default" && "app" in pod.metadata.labels && '
        'pod.metadata.labels["app"] == "web" ? '
        'container.resources.requests["cpu"] * 0.500000 : '
        'pod.spec.nodeName == "n1" ? '
        'Quantity("2000m") / size(pod.spec.containers) : Quantity("1m")'
        ') : Quantity("0")'
    )


def test_what_a_pod_uses_is_what_the_expression_comes_to() -> None:
    """A share is of all its containers' requests, an amount is the pod's own."""
    two = [
        {"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}},
        {"resources": {"requests": {"cpu": "1"}}},
    ]
    web = pod("w", app="web")
    web["spec"]["containers"] = two
    book = book_of(web)
    unsaid = [used(book, resource, web, 0) for resource in ("cpu", "memory")]

    book.set(WEB, Load.of(cpu="50%", memory="6Gi"), 0)

    assert unsaid == pytest.approx([0.002, 2 * 1024**2])
    assert used(book, "cpu", web, 0) == pytest.approx(0.75)
    assert used(book, "memory", web, 0) == 6 * 1024**3


def test_what_is_served_has_few_values() -> None:
    """KWOK keeps every text for good: a ramp of an hour has a thousand."""
    book = book_of()
    book.set(EVERY_POD, Load.of(memory=ramp(0, "64Gi", over="1h")), 0)

    texts = {expression(book, "memory", t / 2) for t in range(7200)}

    assert 900 < len(texts) <= 1001


class _Api:
    """Keeps what was applied; refuses when it is told to."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.deleted: list[str] = []
        self.refuses = False

    def apply(self, path: str, body: Mapping[str, object]) -> None:
        if self.refuses:
            raise ClusterError("no API server")
        assert body
        self.applied.append(path)

    def delete(self, path: str) -> None:
        self.deleted.append(path)


def test_what_is_served_is_written_when_it_is_different() -> None:
    """Nothing is written while every value stays as it is."""
    api, book = _Api(), book_of()
    serving = Serving(api, book)  # type: ignore[arg-type]

    serving.write(anyway=True)
    serving.write()
    book.set(EVERY_POD, Load.of(cpu=1), 0)
    serving.write()
    serving.write()

    assert api.applied == [METRIC_PATH, USAGE_PATH, USAGE_PATH]


def test_closing_takes_the_objects_back() -> None:
    """What was never begun leaves nothing to take back."""
    api, unused = _Api(), _Api()
    serving = Serving(api, book_of())  # type: ignore[arg-type]

    serving.begin()
    serving.close()
    serving.close()
    Serving(unused, book_of()).close()  # type: ignore[arg-type]

    assert api.deleted == [USAGE_PATH, METRIC_PATH]
    assert unused.deleted == []
