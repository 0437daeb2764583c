"""
The courses of a round: every cluster from its start to its removal.

The steps of one case are the same on both sides, as far as both can do them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pytest_knav.control_plane.api import total
from pytest_knav.selfbench import (
    collection,
    counts,
    drawing,
    excluding,
    graphs,
    judging,
    series,
    watching,
)
from pytest_knav.selfbench.cases import (
    BARE,
    FAST,
    OURS_PLAIN,
    PLAIN,
    PROXIED,
    UNRECORDED,
    WITH,
    WITHOUT,
)
from pytest_knav.selfbench.course import Course, Step
from pytest_knav.selfbench.plain import PlainCluster


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_knav.control_plane.state.model import State
    from pytest_knav.selfbench.course import Kit
    from pytest_knav.selfbench.ours import OurCluster


def courses(kit: Kit, cases: Iterable[str], *, plain: bool) -> Iterator[Course]:
    """Yield the courses of one round, with the steps of some cases."""
    makers = (
        _plain,
        _ours_plain,
        _ours,
        _unrecorded,
        _proxied,
        _plain_reset,
        _reset,
    )
    wanted = set(cases)
    for make in makers:
        course = make(kit)
        # Our plain control plane is there to be held against plain kwokctl.
        if plain or course.side not in {PLAIN, OURS_PLAIN}:
            yield from _with(course, wanted)
    alone = (
        *(_topology, _series, watching.course, drawing.course, judging.course),
        excluding.course,
    )
    for course in (*_collections(kit), *(make(kit) for make in alone)):
        yield from _with(course, wanted)


def _with(course: Course, wanted: set[str]) -> Iterator[Course]:
    steps = tuple(step for step in course.steps if step.case in wanted)
    if steps:
        yield Course(
            side=course.side, workdir=course.workdir, steps=steps, close=course.close
        )


def _plain(kit: Kit) -> Course:
    cluster, size = PlainCluster(kit.name, kit.binaries), kit.size
    path = kit.folder / "snapshot.yaml"

    steps = (
        Step(case="cluster", objects=1, act=cluster.create, tool=True),
        Step(
            case="nodes",
            objects=size.nodes,
            act=functools.partial(_plain_nodes, cluster, size.nodes, kit),
            tool=True,
        ),
        Step(
            case="pods",
            objects=size.pods,
            act=functools.partial(_pods, cluster, kit),
            tool=True,
        ),
        Step(
            case="save",
            objects=size.nodes + size.pods,
            prepare=functools.partial(path.unlink, missing_ok=True),
            act=functools.partial(cluster.save, path),
            tool=True,
        ),
        Step(
            case="reset-large",
            objects=size.nodes + size.pods,
            act=functools.partial(_made_anew, cluster, size.nodes, kit),
            tool=True,
        ),
    )
    return Course(side=PLAIN, workdir=cluster.workdir, steps=steps, close=cluster.close)


def _plain_reset(kit: Kit) -> Course:
    cluster, size = PlainCluster(kit.name, kit.binaries), kit.size
    step = Step(
        case="reset",
        objects=size.reset_nodes + size.reset_pods,
        prepare=cluster.create,
        act=functools.partial(_made_anew, cluster, size.reset_nodes, kit),
        tool=True,
    )
    return Course(
        side=PLAIN, workdir=cluster.workdir, steps=(step,), close=cluster.close
    )


def _ours_plain(kit: Kit) -> Course:
    cluster = kit.ours(kit.size.nodes, "plain")
    step = Step(case="cluster", objects=1, act=cluster.create, tool=True)
    return Course(
        side=OURS_PLAIN, workdir=cluster.workdir, steps=(step,), close=cluster.close
    )


def _ours(kit: Kit) -> Course:
    size = kit.size
    ours = kit.ours(size.nodes)
    states: list[State] = []

    def nodes() -> None:
        ours.start()
        counts.await_nodes(ours.api, size.nodes, kit.tick)

    def save() -> None:
        states[:] = [ours.cluster.save()]

    def restore() -> None:
        ours.cluster.restore(states[0])
        counts.await_nodes(ours.api, size.nodes, kit.tick)
        counts.await_pods(ours.api, size.pods, kit.tick)

    both = size.nodes + size.pods
    steps = (
        Step(case="cluster", objects=1, act=ours.create, tool=True),
        Step(
            case="nodes",
            objects=size.nodes,
            prepare=ours.forget_beginnings,
            act=nodes,
        ),
        Step(
            case="pods",
            objects=size.pods,
            act=functools.partial(_pods, ours, kit),
            tool=True,
        ),
        Step(case="save", objects=both, act=save),
        Step(case="restore", objects=both, prepare=ours.empty, act=restore),
        Step(
            case="reset-large",
            objects=both,
            prepare=functools.partial(ours.litter, size.reset_pods),
            act=functools.partial(_reset_ours, ours),
        ),
        Step(
            case="crash",
            objects=size.crashed,
            act=functools.partial(ours.crash, size.crashed),
        ),
        Step(case="crash-writes", objects=size.crashed, act=ours.crash_writes),
    )
    return Course(side=FAST, workdir=ours.workdir, steps=steps, close=ours.close)


def _unrecorded(kit: Kit) -> Course:
    ours = kit.ours(kit.size.nodes)

    def prepare() -> None:
        ours.create()
        ours.start()
        ours.cluster.recorder.stop()

    step = Step(
        case="recorder",
        objects=kit.size.pods,
        prepare=prepare,
        act=functools.partial(_pods, ours, kit),
        tool=True,
    )
    return Course(
        side=UNRECORDED, workdir=ours.workdir, steps=(step,), close=ours.close
    )


def _proxied(kit: Kit) -> Course:
    ours = kit.ours(kit.size.nodes, network=True)
    steps = (
        Step(case="network", objects=1, act=ours.create, tool=True),
        Step(
            case="network-pods",
            objects=kit.size.pods,
            prepare=ours.start,
            act=functools.partial(_pods, ours, kit),
            tool=True,
        ),
    )
    return Course(side=PROXIED, workdir=ours.workdir, steps=steps, close=ours.close)


def _reset(kit: Kit) -> Course:
    size = kit.size
    ours = kit.ours(size.reset_nodes)

    def prepare() -> None:
        ours.create()
        ours.start()
        ours.litter(size.reset_pods)

    step = Step(
        case="reset",
        objects=size.reset_nodes + size.reset_pods,
        prepare=prepare,
        act=functools.partial(_reset_ours, ours),
    )
    return Course(side=FAST, workdir=ours.workdir, steps=(step,), close=ours.close)


def _collections(kit: Kit) -> Iterator[Course]:
    sides = {
        WITHOUT: collection.without_knav,
        WITH: collection.with_knav,
        BARE: collection.bare,
    }
    folder = kit.folder / "empty"
    for side, measure in sides.items():
        step = Step(
            case="collect",
            objects=1,
            prepare=functools.partial(folder.mkdir, exist_ok=True),
            act=functools.partial(measure, folder),
        )
        yield Course(side=side, workdir=folder, steps=(step,), close=lambda: None)


def _topology(kit: Kit) -> Course:
    questions = graphs.Questions()
    steps = (
        Step(case="topology", objects=graphs.NODES, act=graphs.render),
        Step(
            case="blast-radius",
            objects=graphs.QUESTIONS,
            prepare=questions.prepare,
            act=questions.ask,
        ),
    )
    return Course(side=FAST, workdir=kit.folder, steps=steps, close=lambda: None)


def _series(kit: Kit) -> Course:
    scrape = series.Scrape()
    step = Step(
        case="gpu-series",
        objects=series.GPUS,
        prepare=scrape.prepare,
        act=scrape.act,
    )
    return Course(side=FAST, workdir=kit.folder, steps=(step,), close=scrape.close)


def _plain_nodes(cluster: PlainCluster, count: int, kit: Kit) -> None:
    """Make nodes by kwokctl; wait until all are Ready."""
    api = cluster.api

    def tell() -> None:
        kit.tick(total(api, counts.NODES), count)

    cluster.scale_nodes(count, tell)
    counts.await_nodes(api, count, kit.tick)


def _pods(cluster: PlainCluster | OurCluster, kit: Kit) -> None:
    """Make pods by the same command on both sides; wait until all are Running."""
    count, api = kit.size.pods, cluster.api

    def tell() -> None:
        kit.tick(total(api, counts.PODS), count)

    limit_s = counts.timeout_s(count)
    cluster.tool.scale("pod", count, timeout_s=limit_s, meanwhile=tell)
    counts.await_pods(api, count, kit.tick)


def _made_anew(cluster: PlainCluster, nodes: int, kit: Kit) -> None:
    """Reset as plain kwokctl can: a new cluster with new nodes; await a bound pod."""
    cluster.delete()
    cluster.create()
    _plain_nodes(cluster, nodes, kit)
    counts.await_job_bound(cluster.api)


def _reset_ours(ours: OurCluster) -> None:
    ours.cluster.reset()
    counts.await_job_bound(ours.api)
