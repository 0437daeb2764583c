"""A new history on a recorder that goes on following: what is known begins it."""

from __future__ import annotations

import json
import queue
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.errors import HarnessError, Inconclusive
from pytest_knav.history import History
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.recorder import Recorder
from pytest_knav.history.resources import Resource
from pytest_knav.history.store import HistoryWriter


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

POD = Resource("Pod", "/pods")
NODE = Resource("Node", "/nodes")
GROUP = Resource("PodGroup", "/podgroups", optional=True)
TIMEOUT_S = 20.0
# What a test of many orders does next: a kind, a name, and whether it goes.
STEPS = st.lists(
    st.tuples(st.sampled_from(["Pod", "Node"]), st.sampled_from("ab"), st.booleans()),
    max_size=12,
)


class Script:
    """
    A `Transport` whose lists and watches say what the test wrote, when it says so.

    Every watch of a path takes from one queue, so that what is said while none is
    connected reaches the next one.
    """

    def __init__(self) -> None:
        self.revision = 100
        self.objects: dict[str, dict[str, dict[str, Any]]] = {"/pods": {}, "/nodes": {}}
        self.lines = {path: queue.Queue[bytes | None]() for path in self.objects}
        self.compacted = 0

    def get(self, path: str, params: Mapping[str, str], **_: Any) -> dict[str, Any]:
        """Return a list of now; the past is compacted."""
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        if int(params.get("resourceVersion", self.revision)) < self.compacted:
            raise ApiError(410, "Expired", "compacted")
        items = list(self.objects[path].values())
        return {"metadata": {"resourceVersion": str(self.revision)}, "items": items}

    def create(self, path: str, body: Any) -> dict[str, Any]:
        """Refuse: nobody writes here."""
        raise NotImplementedError(path, body)

    patch = create

    def stream(self, path: str, _: Mapping[str, str]) -> ScriptedStream:
        """Return a watch."""
        return ScriptedStream(self.lines[path])

    def close(self) -> None:
        """End nothing: streams are closed by who opened them."""

    def put(self, path: str, name: str, *, told: bool = True, **fields: Any) -> bytes:
        """Make or change an object; return the event, told to the watch or not yet."""
        self.revision += 1
        old = self.objects[path].get(name)
        metadata = {
            "name": name,
            "namespace": "default",
            "uid": old["metadata"]["uid"] if old else f"u-{name}-{self.revision}",
            "resourceVersion": str(self.revision),
        }
        self.objects[path][name] = {"metadata": metadata, **fields}
        verb = "MODIFIED" if old else "ADDED"
        return self._event(path, verb, self.objects[path][name], told=told)

    def delete(self, path: str, name: str, *, told: bool = True) -> bytes:
        """Delete an object; return the event."""
        self.revision += 1
        old = self.objects[path].pop(name)
        metadata = {**old["metadata"], "resourceVersion": str(self.revision)}
        return self._event(path, "DELETED", {**old, "metadata": metadata}, told=told)

    def tell(self, path: str, event: bytes) -> None:
        """Let the watch of a path say something."""
        self.lines[path].put(event)

    def expire(self, path: str) -> None:
        """Refuse to resume: what was not told is lost."""
        self.compacted = self.revision
        status = {"code": 410, "reason": "Expired", "message": "too old"}
        self.tell(path, json.dumps({"type": "ERROR", "object": status}).encode())

    def _event(self, path: str, verb: str, body: Any, *, told: bool) -> bytes:
        event = json.dumps({"type": verb, "object": body}).encode()
        if told:
            self.tell(path, event)
        return event


class ScriptedStream:
    """One watch: says what is in a queue until it is closed."""

    def __init__(self, lines: queue.Queue[bytes | None]) -> None:
        self._lines = lines

    def __enter__(self) -> Iterator[bytes]:
        return self._said()

    def __exit__(self, *_: object) -> None:
        """Leave what was not said to the next watch."""

    def _said(self) -> Iterator[bytes]:
        while (line := self._lines.get(timeout=TIMEOUT_S)) is not None:
            yield [line]
        raise ConnectionLost("closed")

    def close(self) -> None:
        """Wake whoever reads."""
        self._lines.put(None)


class _Busy(threading.Condition):
    """Stands for a watcher that waits for the recorder's lock with news."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.history.lock)
        self._recorder = recorder

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[arg-type]
        history = self._recorder.history
        history.advance(history.newest_revision + 1)


class Following:
    """A recorder at work and the script that it follows."""

    def __init__(self, script: Script, recorder: Recorder) -> None:
        self.script = script
        self.recorder = recorder

    @property
    def history(self) -> History:
        """Return the history of now."""
        return self.recorder.history

    def seen(self, revision: int | None = None) -> Self:
        """Return once a revision is recorded; by default the newest."""
        wanted = self.script.revision if revision is None else revision

        def there(history: History) -> bool:
            return any(r.revision == wanted for r in history.records() if not r.own)

        assert self.recorder.wait(there, TIMEOUT_S), self.history.records()
        return self

    def stop(self) -> None:
        """End it."""
        self.recorder.stop()


@pytest.fixture
def script() -> Script:
    """Return what the apiserver says."""
    return Script()


@pytest.fixture
def follow(script: Script) -> Iterator[Callable[..., Following]]:
    """Return a function that starts a recorder; it is stopped in the end."""
    before = set(threading.enumerate())
    with ExitStack() as stack:

        def start(*resources: Resource, **options: Any) -> Following:
            recorder = Recorder(
                script,  # type: ignore[arg-type]
                resources or (POD, NODE),
                heartbeat=False,
                **options,
            )
            stack.callback(recorder.stop)
            recorder.start(TIMEOUT_S)
            return Following(script, recorder)

        yield start
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("knav")]


def told(history: History) -> list[tuple[str, str, int]]:
    """Return what is recorded of the cluster."""
    return [(r.verb, r.name, r.revision) for r in history.records() if not r.own]


def state(history: History, revision: int | None = None) -> dict[str, Any]:
    """Return all objects, of now or of a revision."""
    if revision is None:
        return {kind: history.latest(kind) for kind in ("Pod", "Node")}
    return {kind: history.state_at(revision, kind) for kind in ("Pod", "Node")}


class TestBegin:
    """What a new history holds, and what stays with the old one."""

    def test_it_begins_with_the_objects_that_live(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """Whole and at the revision of their last change, in that order."""
        script.put("/pods", "a", x=1)
        script.put("/nodes", "n")
        following = follow()
        script.put("/pods", "b")
        script.put("/pods", "gone")
        script.put("/pods", "a", x=2)
        script.delete("/pods", "gone")
        old = following.seen().history

        following.recorder.begin(None)

        new = following.history
        assert new is not old
        assert told(new) == [
            ("ADDED", "n", 102),
            ("ADDED", "b", 103),
            ("ADDED", "a", 105),
        ]
        assert (new.get("Pod", "default", "a") or {})["x"] == 2
        assert state(new) == state(old)

    def test_it_is_known_from_its_revision_on(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """The state there is what lives; what was before nobody can ask it."""
        script.put("/pods", "a")
        following = follow()
        script.put("/pods", "b")
        following.seen()

        revision = following.recorder.begin(None)

        new = following.history
        assert revision == script.revision == new.newest_revision
        assert new.known_since == {"Pod": revision, "Node": revision}
        assert state(new, revision) == state(new)
        assert new.truncated_before == 0
        with pytest.raises(Inconclusive, match=f"recorded since revision {revision}"):
            new.state_at(revision - 1, "Pod")

    def test_nothing_happened_in_it_yet(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """What it begins with is no change."""
        script.put("/pods", "a")
        following = follow()

        revision = following.recorder.begin(None)

        new = following.history
        assert [r.verb for r in new.records(since_revision=revision)] == ["BEGIN"] * 2
        assert [r for r, _ in new.replay(revision) if not r.own] == []

    def test_it_says_how_many_objects_it_begins_with(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """As after a list; a kind that is not served is said to be so."""
        script.put("/pods", "a")
        script.put("/pods", "b")
        following = follow(POD, NODE, GROUP)

        following.recorder.begin(None)

        said = {
            r.name: (r.verb, r.data) for r in following.history.records("knav/Watch")
        }
        assert said == {
            "Pod": ("BEGIN", {"path": "/pods", "objects": 2}),
            "Node": ("BEGIN", {"path": "/nodes", "objects": 0}),
            "PodGroup": ("NOTE", {"path": "/podgroups", "served": False}),
        }
        assert "PodGroup" not in following.history.known_since

    def test_later_changes_arrive_in_it(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """As changes of what it began with: no list lies in between."""
        script.put("/pods", "a", x=1)
        script.put("/pods", "b")
        following = follow()
        following.recorder.begin(None)

        script.put("/pods", "a", x=2)
        script.delete("/pods", "b")
        script.put("/nodes", "n")
        following.seen(104).seen(105)

        new = following.history
        assert told(new)[2:] == [
            ("MODIFIED", "a", 103),
            ("DELETED", "b", 104),
            ("ADDED", "n", 105),
        ]
        uid = script.objects["/pods"]["a"]["metadata"]["uid"]
        assert [(v.object or {})["x"] for v in new.versions(uid)] == [1, 2]
        assert new.gaps() == []

    def test_the_old_history_stays_as_it_was(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """Whoever holds it can go on asking it."""
        script.put("/pods", "a", x=1)
        following = follow()
        old = following.history
        before = (old.records(), state(old), old.known_since, old.newest_revision)

        following.recorder.begin(None)
        script.put("/pods", "a", x=2)
        following.seen()
        following.recorder.note("knav/Step", "SUBMIT", "w")

        after = (old.records(), state(old), old.known_since, old.newest_revision)
        assert after == before

    def test_a_gap_of_before_is_none_of_it(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """After a gap everything is known again, and that is what it begins with."""
        following = follow()
        script.put("/pods", "lost", told=False)
        script.put("/pods", "lost", told=False)
        script.expire("/pods")
        assert following.recorder.wait(lambda h: h.gaps() or None, TIMEOUT_S)

        following.recorder.begin(None)

        assert following.history.gaps() == []
        assert told(following.history) == [("ADDED", "lost", 102)]

    def test_a_gap_that_ends_in_it_is_one_of_it(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """Even where it began in the old one."""
        following = follow()
        since = script.revision
        script.put("/pods", "lost", told=False)
        following.recorder.begin(None)

        script.put("/pods", "lost", told=False)
        script.expire("/pods")
        assert following.recorder.wait(lambda h: h.gaps() or None, TIMEOUT_S)

        (gap,) = following.history.gaps(since_revision=since)
        assert (gap.resource, gap.from_revision, gap.to_revision) == ("Pod", since, 102)

    def test_its_revision_is_not_that_of_what_came_right_after(
        self, follow: Callable[..., Following]
    ) -> None:
        """Whoever asks for changes since then must not miss the first of them."""
        recorder = follow().recorder
        recorder._news = _Busy(recorder)

        revision = recorder.begin(None)

        assert recorder.history.known_since == {"Pod": revision, "Node": revision}

    def test_it_has_the_lock_of_the_old_one(
        self, follow: Callable[..., Following]
    ) -> None:
        """Whoever locks a history keeps the recorder out, before and after."""
        following = follow()
        old = following.history

        following.recorder.begin(None)

        assert following.history.lock is old.lock

    def test_whoever_waits_goes_on_in_it(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """A wait is about the cluster, and so about the history of now."""
        following = follow()
        begun = threading.Event()

        def later() -> None:
            begun.wait(TIMEOUT_S)
            following.recorder.begin(None)
            script.put("/pods", "a")

        thread = threading.Thread(target=later)
        thread.start()

        def there(history: History) -> Any:
            begun.set()
            return history.get("Pod", "default", "a")

        found = following.recorder.wait(there, TIMEOUT_S)
        thread.join()

        assert found is not None

    def test_it_can_begin_any_number_of_times(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """With or without changes in between; nothing of the recorder grows."""
        script.put("/pods", "a")
        following = follow()

        revisions = [following.recorder.begin(None) for _ in range(50)]

        assert set(revisions) == {script.revision}
        assert told(following.history) == [("ADDED", "a", 101)]
        assert len(following.history.records()) == 3


class TestFollow:
    """What else is recorded on request, and for how long."""

    def test_it_is_recorded_from_its_list_on(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """Like everything else: objects of before, changes, and since when."""
        script.put("/nodes", "n", x=1)
        following = follow(POD)

        following.recorder.follow(NODE, TIMEOUT_S)

        script.put("/nodes", "n", x=2)
        following.seen()
        history = following.history
        assert (history.get("Node", "default", "n") or {})["x"] == 2
        assert [verb for verb, _, _ in told(history)] == ["ADDED", "MODIFIED"]
        assert history.known_since["Node"] == 101

    def test_it_ends_with_the_history(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """What it is about may go with a reset, and then nobody waits for it."""
        following = follow(POD)
        following.recorder.follow(NODE, TIMEOUT_S)

        following.recorder.begin(None)

        assert following.history.known_since == {"Pod": script.revision}
        assert [w.resource for w in following.recorder._watchers] == [POD]

    def test_what_is_followed_already_is_followed_once(
        self, follow: Callable[..., Following]
    ) -> None:
        """No change is told twice."""
        following = follow(POD)

        following.recorder.follow(NODE, TIMEOUT_S)
        following.recorder.follow(NODE, TIMEOUT_S)
        following.recorder.follow(POD, TIMEOUT_S)

        assert [w.resource for w in following.recorder._watchers] == [POD, NODE]

    def test_what_is_not_served_is_an_error_and_not_followed(
        self, follow: Callable[..., Following]
    ) -> None:
        """Nobody waits for it afterwards."""
        following = follow(POD)

        with pytest.raises(HarnessError, match="does not serve /gone"):
            following.recorder.follow(Resource("Gone", "/gone"), TIMEOUT_S)

        assert [w.resource for w in following.recorder._watchers] == [POD]


class TestLate:
    """Two watches are not in step; the one that is behind tells old news."""

    def test_a_change_of_before_is_sorted_in_where_it_belongs(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """A node that changed before the newest pod is told of after the beginning."""
        script.put("/nodes", "n", x=1)
        following = follow()
        late = script.put("/nodes", "n", told=False, x=2)
        script.put("/pods", "a")
        following.seen()
        revision = following.recorder.begin(None)

        script.tell("/nodes", late)
        following.seen(102)

        new = following.history
        assert told(new) == [
            ("ADDED", "n", 101),
            ("MODIFIED", "n", 102),
            ("ADDED", "a", 103),
        ]
        assert new.newest_revision == revision == 103
        assert [node["x"] for node in new.latest("Node").values()] == [2]
        assert state(new, revision) == state(new)

    def test_an_object_of_before_that_is_told_of_late_is_there(
        self, script: Script, follow: Callable[..., Following]
    ) -> None:
        """Made, or ended, before the beginning."""
        script.put("/nodes", "ended")
        following = follow()
        late = [
            script.put("/nodes", "made", told=False),
            script.delete("/nodes", "ended", told=False),
        ]
        script.put("/pods", "a")
        following.seen()
        revision = following.recorder.begin(None)

        for event in late:
            script.tell("/nodes", event)
        following.seen(103)

        new = following.history
        live = {node["metadata"]["name"] for node in new.latest("Node").values()}
        assert live == {"made"}
        assert state(new, revision) == state(new)

    def test_what_comes_between_rest_and_begin_is_in_both(
        self, script: Script, follow: Callable[..., Following], tmp_path: Path
    ) -> None:
        """In memory; the stored history had ended."""
        following = follow(directory=tmp_path / "old")
        following.recorder.rest()
        script.put("/pods", "a")
        script.put("/pods", "blink")
        script.delete("/pods", "blink")
        old = following.seen().history

        following.recorder.begin(tmp_path / "new")

        assert told(old)[0] == told(following.history)[0] == ("ADDED", "a", 101)
        assert len(told(following.history)) == 1
        assert told(History.load(tmp_path / "old")) == []

    @settings(max_examples=40, deadline=None)
    @given(steps=STEPS, data=st.data())
    def test_wherever_it_begins_the_end_is_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, steps: Any, data: st.DataObject
    ) -> None:
        """
        In whatever order two watches tell what happened, and in memory as on disk.

        No thread runs: what a watcher would take is given to it.
        """
        script = Script()
        recorder = Recorder(script, (POD, NODE), heartbeat=False)  # type: ignore[arg-type]
        watchers = {"/pods": recorder._watchers[0], "/nodes": recorder._watchers[1]}
        for watcher in watchers.values():
            watcher._begin()
        for kind, name, goes in steps:
            path = f"/{kind.lower()}s"
            if goes and name in script.objects[path]:
                script.delete(path, name)
            else:
                script.put(path, name)
        directory = tmp_path_factory.mktemp("histories")
        begun = 0

        while waiting := [p for p, queue in script.lines.items() if not queue.empty()]:
            path = data.draw(st.sampled_from(waiting))
            line = script.lines[path].get()
            assert line is not None
            watchers[path]._take([line])
            if data.draw(st.integers(0, 3)) == 0:
                begun += 1
                recorder.begin(directory / str(begun))
        recorder.stop()

        history = recorder.history
        assert {
            f"/{kind.lower()}s": {o["metadata"]["name"] for o in live.values()}
            for kind, live in state(history).items()
        } == {path: set(objects) for path, objects in script.objects.items()}
        assert state(history, history.newest_revision) == state(history)
        if begun:
            stored = History.load(directory / str(begun))
            assert stored.records() == history.records()
            assert state(stored) == state(history)


class TestStored:
    """Each history has a directory of its own, and both are whole."""

    def test_both_are_read_as_they_were(
        self, script: Script, follow: Callable[..., Following], tmp_path: Path
    ) -> None:
        """Record for record, with the objects that they lead to."""
        script.put("/pods", "a", x=1)
        following = follow(directory=tmp_path / "old")
        script.put("/pods", "b")
        old = following.seen().history
        following.recorder.note("knav/Step", "SUBMIT", "w", {"n": 1})

        revision = following.recorder.begin(tmp_path / "new")
        script.put("/pods", "a", x=2)
        script.delete("/pods", "b")
        new = following.seen().history
        following.stop()

        for directory, history in (("old", old), ("new", new)):
            stored = History.load(tmp_path / directory)
            assert stored.cut == ""
            assert stored.records() == history.records()
            assert stored.known_since == history.known_since
            assert stored.newest_revision == history.newest_revision
            assert state(stored) == state(history)
        stored_new = History.load(tmp_path / "new")
        assert state(stored_new, revision) == state(new, revision) == state(old)

    def test_the_old_one_is_finished_at_once(
        self, script: Script, follow: Callable[..., Following], tmp_path: Path
    ) -> None:
        """Whoever keeps the artifacts of a test can read them while the next runs."""
        script.put("/pods", "a")
        following = follow(directory=tmp_path / "old")

        following.recorder.begin(tmp_path / "new")

        stored = History.load(tmp_path / "old")
        assert told(stored) == [("ADDED", "a", 101)]
        assert stored.cut == ""

    def test_more_objects_than_wait_for_the_disk_are_stored_too(
        self,
        script: Script,
        follow: Callable[..., Following],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """With the changes that come right after them, in this order."""
        monkeypatch.setattr("pytest_knav.history.store.PENDING_RECORDS_MAX", 5)
        for i in range(20):
            script.put("/pods", f"p{i}")
        following = follow()

        following.recorder.begin(tmp_path / "new")
        script.put("/pods", "p0", x=1)
        following.seen().stop()

        assert History.load(tmp_path / "new").records() == following.history.records()

    def test_many_records_come_behind_those_that_wait_already(
        self, script: Script, follow: Callable[..., Following], tmp_path: Path
    ) -> None:
        """Nothing that was taken before is lost, and the order stays."""
        for name in "abc":
            script.put("/pods", name)
        records = follow().history.records("Pod")
        writer = HistoryWriter(tmp_path / "stored")

        writer.append(records[0])
        writer.extend(records[1:])
        writer.close()

        assert History.load(tmp_path / "stored").records() == records

    def test_without_a_directory_it_is_in_memory_alone(
        self, script: Script, follow: Callable[..., Following], tmp_path: Path
    ) -> None:
        """Also where the one before was stored."""
        following = follow(directory=tmp_path / "old")

        following.recorder.begin(None)
        script.put("/pods", "a")
        following.seen().stop()

        assert [path.name for path in tmp_path.iterdir()] == ["old"]
        assert told(History.load(tmp_path / "old")) == []

    def test_a_directory_that_holds_one_already_is_refused(
        self, script: Script, follow: Callable[..., Following], tmp_path: Path
    ) -> None:
        """The recorder goes on in memory, with the history that it had."""
        following = follow(directory=tmp_path / "old")
        old = following.history

        with pytest.raises(HarnessError, match="already holds a history"):
            following.recorder.begin(tmp_path / "old")
        script.put("/pods", "a")
        following.seen()

        assert following.history is old
        assert told(History.load(tmp_path / "old")) == []

    def test_an_interrupted_beginning_leaves_no_thread(
        self,
        script: Script,
        follow: Callable[..., Following],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Ctrl-C in its middle: the new file is closed, the old history goes on."""
        script.put("/pods", "a")
        following = follow()
        old = following.history
        opened: list[HistoryWriter] = []

        def interrupted(_: int) -> NoReturn:
            raise KeyboardInterrupt

        def opening(directory: Path) -> HistoryWriter:
            opened.append(HistoryWriter(directory))
            return opened[-1]

        monkeypatch.setattr(following.recorder, "_known_again", interrupted)
        monkeypatch.setattr(following.recorder, "_open_writer", opening)
        with pytest.raises(KeyboardInterrupt):
            following.recorder.begin(tmp_path / "new")
        alive = [writer._flusher.is_alive() for writer in opened]
        for writer in opened:
            writer.close()

        assert following.history is old
        assert alive == [False]

    def test_a_disk_that_refused_the_old_one_is_said(
        self,
        script: Script,
        follow: Callable[..., Following],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Before the new one begins: artifacts with a hole must not look whole."""
        following = follow(directory=tmp_path / "old")
        refused = OSError(28, "No space left on device")

        def fail(*_: object) -> int:
            raise refused

        with monkeypatch.context() as patch:
            patch.setattr("pytest_knav.history.store.os.write", fail)
            script.put("/pods", "a")
            old = following.seen().history
            with pytest.raises(HarnessError, match=r"not whole.*No space left"):
                following.recorder.begin(tmp_path / "new")

        assert following.history is old
        assert not (tmp_path / "new").exists()
        following.recorder.check()
