"""Recording from a real HTTP server that lists and watches, and breaks on demand."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_knav.errors import BadInput, HarnessError, Inconclusive
from pytest_knav.history import History
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.heartbeat import Lag
from pytest_knav.history.recorder import Recorder
from pytest_knav.history.resources import Resource
from pytest_knav.history.transport import HttpTransport


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POD = Resource("Pod", "/pods", etcd_prefix="/registry/pods/")
NODE = Resource("Node", "/nodes", etcd_prefix="/registry/nodes/")
GROUP = Resource("PodGroup", "/podgroups", optional=True)
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
TIMEOUT_S = 20.0


class Apiserver:
    """
    Every object that ever was, by revision; what it shows is decided by the test.

    `window` is the oldest revision that a watch may begin at. While `hanging`,
    requests are taken and not answered.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.revision = 100
        self.log: list[tuple[int, str, str, dict[str, Any]]] = []
        self.window = 0
        self.epoch = 0
        self.hanging = threading.Event()
        self.muted = False
        self.closing = False
        self.paths = {"/pods", "/nodes", LEASES}
        self.requests: deque[str] = deque(maxlen=1000)

    def put(self, path: str, name: str, **fields: Any) -> int:
        """Make or change an object."""
        with self.changed:
            made = name not in self.state(path)
            self.revision += 1
            metadata = {
                "name": name,
                "namespace": "default",
                "uid": f"u-{name}",
                "resourceVersion": str(self.revision),
            }
            body = {"metadata": metadata, **fields}
            verb = "ADDED" if made else "MODIFIED"
            self.log.append((self.revision, path, verb, body))
            self.changed.notify_all()
            return self.revision

    def put_together(self, name: str, *paths: str) -> int:
        """Make or change an object of each kind, all at one revision."""
        with self.changed:
            before = self.revision
            for path in paths:
                self.revision = before
                self.put(path, f"{path.strip('/')}-{name}")
            return self.revision

    def delete(self, path: str, name: str) -> int:
        """Delete an object."""
        with self.changed:
            last = self.state(path)[name]
            self.revision += 1
            gone = {**last["metadata"], "resourceVersion": str(self.revision)}
            body = {**last, "metadata": gone}
            self.log.append((self.revision, path, "DELETED", body))
            self.changed.notify_all()
            return self.revision

    def state(self, path: str, until: int | None = None) -> dict[str, dict[str, Any]]:
        """Return the objects by name as they were at a revision."""
        state: dict[str, dict[str, Any]] = {}
        for revision, where, verb, body in self.log:
            if where == path and (until is None or revision <= until):
                name = body["metadata"]["name"]
                state[name] = body
                if verb == "DELETED":
                    del state[name]
        return state

    @contextmanager
    def away(self, *, forget: bool = False) -> Iterator[None]:
        """
        Break all streams in the middle, and let nobody watch until the end.

        `forget` makes it impossible to resume what was missed.
        """
        with self.changed:
            self.muted = True
            self.epoch += 1
            self.changed.notify_all()
        yield
        with self.changed:
            self.muted = False
            if forget:
                self.window = self.revision
            self.changed.notify_all()


class Handler(BaseHTTPRequestHandler):
    """Speaks enough of the API, and of etcd's, for a recorder."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: Apiserver

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """List or watch."""
        self.api.requests.append(self.path)
        if self.api.hanging.is_set():
            with self.api.changed:
                self.api.changed.wait_for(lambda: self.api.closing, TIMEOUT_S)
            self.close_connection = True
            return
        url = urlsplit(self.path)
        url = url._replace(path=url.path.removeprefix("/namespaces/default"))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path not in self.api.paths:
            self.answer(404, {"reason": "NotFound", "message": "no such path"})
        elif "watch" in query:
            self.watch(url.path, int(query["resourceVersion"]))
        else:
            self.list(url.path, query)

    def do_POST(self) -> None:
        """Watch etcd, or create the Lease."""
        body = self.body()
        if self.path == "/v3/watch":
            self.watch_etcd(int(body["create_request"]["start_revision"]))
        else:
            self.renew()

    def do_PATCH(self) -> None:
        """Renew the Lease."""
        self.body()
        self.renew()

    def body(self) -> dict[str, Any]:
        """Return what was sent."""
        content: dict[str, Any] = json.loads(
            self.rfile.read(int(self.headers["Content-Length"]))
        )
        return content

    def renew(self) -> None:
        """Write the Lease of the heartbeat."""
        revision = self.api.put(LEASES, "knav-recorder")
        self.answer(200, {"metadata": {"resourceVersion": str(revision)}})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """Send one JSON object."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def list(self, path: str, query: dict[str, str]) -> None:
        """Send pages of two."""
        with self.api.changed:
            at, _, offset = query.get("continue", "").partition("-")
            revision = int(at or query.get("resourceVersion") or self.api.revision)
            state = self.api.state(path, revision)
        chosen = query.get("fieldSelector", "").removeprefix("metadata.name=")
        items = [body for name, body in state.items() if chosen in {"", name}]
        first = int(offset or 0)
        metadata = {"resourceVersion": str(revision)}
        if first + 2 < len(items):
            metadata["continue"] = f"{revision}-{first + 2}"
        self.answer(200, {"metadata": metadata, "items": items[first : first + 2]})

    def begin_stream(self) -> None:
        """Begin an answer in chunks."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, content: bytes) -> None:
        """Send one chunk."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def watch(self, path: str, since: int) -> None:
        """Send events until the streams are dropped."""
        api = self.api
        self.close_connection = True
        with api.changed:
            if api.muted:
                return
            epoch = api.epoch
            if since < api.window:
                self.begin_stream()
                status = {"code": 410, "reason": "Expired", "message": "too old"}
                self.event("ERROR", status)
                return
        self.begin_stream()
        while True:
            with api.changed:
                news = [e for e in api.log if e[0] > since and e[1] == path]
                if not news and epoch == api.epoch and not api.closing:
                    api.changed.wait(TIMEOUT_S)
                over = epoch != api.epoch or api.closing
            if over:
                self.wfile.write(b'40\r\n{"type": "MODI')
                return
            for revision, _, verb, body in news:
                self.event(verb, body)
                since = revision
            bookmark = {"metadata": {"resourceVersion": str(since)}}
            self.event("BOOKMARK", bookmark)

    def event(self, verb: str, body: dict[str, Any]) -> None:
        """Send one event of a watch."""
        line = json.dumps({"type": verb, "object": body}).encode() + b"\n"
        self.chunk(line)

    def watch_etcd(self, start: int) -> None:
        """Send every change since a revision, as etcd's JSON gateway does."""
        self.close_connection = True
        self.begin_stream()
        self.chunk(b'{"result": {"created": true}}\n')
        with self.api.changed:
            events = [
                {
                    "kv": {
                        "key": base64.b64encode(
                            f"/registry{path}/default/{body['metadata']['name']}".encode()
                        ).decode(),
                        "mod_revision": str(revision),
                    }
                }
                for revision, path, _, body in self.api.log
                if revision >= start
            ]
        if events:
            self.chunk(json.dumps({"result": {"events": events}}).encode() + b"\n")
            with self.api.changed:
                self.api.changed.wait_for(lambda: self.api.closing, 0.01)


@pytest.fixture
def api() -> Apiserver:
    """Return what the server serves."""
    return Apiserver()


@pytest.fixture
def url(api: Apiserver) -> Iterator[str]:
    """Serve on a free port of loopback."""
    handler = type("BoundHandler", (Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        with api.changed:
            api.closing = True
            api.changed.notify_all()
        server.shutdown()
        serving.join()


@pytest.fixture
def record(url: str) -> Iterator[Callable[..., Recorder]]:
    """Return a function that starts a recorder; all are stopped in the end."""
    recorders: list[Recorder] = []

    def start(*resources: Resource, **options: Any) -> Recorder:
        options = {"heartbeat": False, **options}
        recorder = Recorder(HttpTransport(url), resources or (POD,), **options)
        recorders.append(recorder)
        recorder.start(TIMEOUT_S)
        return recorder

    before = set(threading.enumerate())
    yield start
    for recorder in recorders:
        recorder.stop()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("knav")]


def verbs(history: History, kind: str = "Pod") -> list[tuple[str, str]]:
    """Return what is recorded of a kind."""
    return [(record.verb, record.name) for record in history.records(kind)]


def until(recorder: Recorder, count: int, kind: str = "Pod") -> None:
    """Wait for so many records of a kind."""
    assert recorder.wait(lambda h: len(h.records(kind)) >= count, TIMEOUT_S), (
        recorder.history.records()
    )


def test_a_list_of_several_pages_is_first_sight(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """Every object that is there is recorded whole, at the revision that made it."""
    revisions = [api.put("/pods", f"p{i}", spec={"i": i}) for i in range(5)]

    history = record().history

    assert [r.revision for r in history.records("Pod")] == revisions
    assert history.known_since == {"Pod": api.revision}
    assert history.get("Pod", "default", "p3") == api.state("/pods")["p3"]


def test_every_change_is_followed(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """A change is recorded as what it changed, an end as an end."""
    api.put("/pods", "a", status={"phase": "Pending", "ip": None})
    recorder = record()

    api.put("/pods", "a", status={"phase": "Running"})
    api.delete("/pods", "a")
    until(recorder, 3)

    patch = recorder.history.records("Pod")[1].patch or {}
    assert patch["status"] == {"phase": "Running"}
    assert [verb for verb, _ in verbs(recorder.history)] == [
        "ADDED",
        "MODIFIED",
        "DELETED",
    ]
    assert recorder.history.latest("Pod") == {}


def test_kinds_are_in_the_order_of_their_revisions(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """Two watches are not in step; the history they make is."""
    recorder = record(POD, NODE)

    for i in range(20):
        api.put("/pods", f"p{i}")
        api.put("/nodes", f"n{i}")
    recorder.catch_up(TIMEOUT_S)

    objects = [r for r in recorder.history.records() if not r.own]
    assert [r.kind for r in objects] == ["Pod", "Node"] * 20


def test_a_dropped_watch_resumes_without_a_gap(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """What changed while the connection was away comes afterwards, each change."""
    recorder = record()

    with api.away():
        api.put("/pods", "a", x=1)
        api.put("/pods", "a", x=2)
        api.delete("/pods", "a")
    until(recorder, 3)

    assert [verb for verb, _ in verbs(recorder.history)] == [
        "ADDED",
        "MODIFIED",
        "DELETED",
    ]
    assert recorder.history.records("knav/Gap") == []


@pytest.mark.parametrize("away", ["never", "for a moment", "for too long"])
def test_kinds_may_share_a_revision(
    api: Apiserver, url: str, record: Callable[..., Recorder], away: str
) -> None:
    """A pod and a node of one transaction are both recorded, whatever breaks."""
    recorder = record(POD, NODE, etcd=url)

    with nullcontext() if away == "never" else api.away(forget=away == "for too long"):
        at = [api.put_together(f"x{i}", "/pods", "/nodes") for i in range(10)]
    recorder.catch_up(TIMEOUT_S)

    history = recorder.history
    assert history.gaps() == []
    for kind in ("Pod", "Node"):
        assert sorted(r.revision for r in history.records(kind)) == at
        names = {r.name for r in history.records(kind, since_revision=at[4])}
        assert names == {f"{kind.lower()}s-x{i}" for i in range(5, 10)}


@pytest.mark.parametrize("etcd", [True, False], ids=["with etcd", "without"])
def test_a_watch_that_cannot_resume_is_filled(
    api: Apiserver, url: str, record: Callable[..., Recorder], *, etcd: bool
) -> None:
    """After 410 Gone, even what came and went in between is recorded."""
    api.put("/pods", "kept", x=0)
    recorder = record(etcd=url if etcd else "")

    with api.away(forget=True):
        came = api.put("/pods", "blink")
        api.put("/pods", "kept", x=1)
        went = api.delete("/pods", "blink")
        api.put("/pods", "kept", x=2)
    until(recorder, 1, "knav/Gap")

    (gap,) = recorder.history.records("knav/Gap")
    assert (gap.verb, gap.name) == ("FILLED", "Pod")
    assert recorder.history.gaps() == []
    blink = recorder.history.versions("u-blink")
    assert [(v.verb, v.revision) for v in blink] == [("ADDED", came), ("DELETED", went)]
    kept = recorder.history.versions("u-kept")
    assert [(v.object or {})["x"] for v in kept] == [0, 1, 2]


def test_a_watch_that_cannot_be_filled_is_a_gap(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """Too many revisions to look at, and no etcd: the gap says from where to where."""
    api.put("/pods", "gone")
    recorder = record()
    since = api.revision

    with api.away(forget=True):
        api.delete("/pods", "gone")
        for i in range(70):
            api.put("/nodes", f"n{i}")
        last = api.put("/pods", "new")
    until(recorder, 1, "knav/Gap")

    (gap,) = recorder.history.gaps()
    assert (gap.resource, gap.from_revision, gap.to_revision) == ("Pod", since, last)
    assert "410" in gap.reason
    assert verbs(recorder.history)[1:] == [("ADDED", "new"), ("DELETED", "gone")]


def test_many_revisions_of_others_are_no_gap_where_etcd_says_so(
    api: Apiserver, url: str, record: Callable[..., Recorder]
) -> None:
    """A quiet resource stays gap-free through an apiserver's restart."""
    recorder = record(etcd=url)

    with api.away(forget=True):
        for i in range(70):
            api.put("/nodes", f"n{i}")
    until(recorder, 1, "knav/Gap")

    (gap,) = recorder.history.records("knav/Gap")
    assert gap.verb == "FILLED"
    assert (gap.data or {})["changes"] == 0


def test_a_cluster_that_went_back_ends_the_recording(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """Revisions that come twice would make any order a lie."""
    recorder = record()

    with api.away():
        api.revision = 50
        api.window = 1_000

    with pytest.raises(HarnessError, match="went back from revision 100 to 50"):
        recorder.wait(lambda _: None, TIMEOUT_S, poll_s=0.01)


def test_an_optional_resource_may_be_missing(record: Callable[..., Recorder]) -> None:
    """What the apiserver does not serve is noted and not waited for."""
    recorder = record(POD, GROUP)

    (note,) = [r for r in recorder.history.records("knav/Watch") if r.verb == "NOTE"]
    assert note.name == "PodGroup"
    assert "PodGroup" not in recorder.history.known_since
    recorder.check()


def test_a_missing_resource_fails_the_start(url: str) -> None:
    """A resource that must be there and is not is an error, and nothing runs on."""
    recorder = Recorder(HttpTransport(url), [Resource("Job", "/jobs")])

    with pytest.raises(HarnessError, match="does not serve /jobs"):
        recorder.start(TIMEOUT_S)

    recorder.stop()


def test_a_server_that_hangs_stops_neither_start_nor_stop(
    api: Apiserver, url: str
) -> None:
    """A stopped apiserver accepts connections and says nothing for ever."""
    api.hanging.set()
    recorder = Recorder(HttpTransport(url), [POD], heartbeat=False)

    with pytest.raises(HarnessError, match="could not be listed in time"):
        recorder.start(0.05)

    recorder.stop()


def test_catch_up_returns_when_everything_is_recorded(
    api: Apiserver, url: str, record: Callable[..., Recorder]
) -> None:
    """After it, the history holds all that was written before it."""
    recorder = record(POD, NODE, etcd=url)
    for i in range(10):
        api.put("/pods", f"p{i}")
    api.delete("/pods", "p0")

    assert recorder.catch_up(TIMEOUT_S) == api.revision
    assert len(recorder.history.records("Pod")) == 11


@pytest.mark.parametrize("etcd", [True, False], ids=["with etcd", "without"])
def test_catch_up_says_what_is_missing(
    api: Apiserver, url: str, record: Callable[..., Recorder], *, etcd: bool
) -> None:
    """While the watch is away there is no proof, only a reason."""
    recorder = record(etcd=url if etcd else "")

    with api.away():
        revision = api.put("/pods", "late")
        with pytest.raises(Inconclusive, match=rf"Pod.*{revision}"):
            recorder.catch_up(0.2)

    assert recorder.catch_up(TIMEOUT_S) >= revision


def test_with_etcd_catch_up_sees_what_came_and_went(
    api: Apiserver, url: str, record: Callable[..., Recorder]
) -> None:
    """A pod made and deleted behind a broken watch is in no list, but in etcd."""
    recorder = record(etcd=url)

    with api.away():
        api.put("/pods", "blink")
        api.delete("/pods", "blink")
        with pytest.raises(Inconclusive, match="etcd has a change"):
            recorder.catch_up(0.2)


def test_the_heartbeat_is_measured_and_not_recorded(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """The Lease that measures the lag is no part of the history."""
    recorder = record(heartbeat=True)

    recorder.catch_up(TIMEOUT_S)

    assert api.state(LEASES)
    assert 0 < recorder.max_lag_s() < TIMEOUT_S
    assert recorder.history.records("Lease") == []


def test_lag_of_a_slow_watch_shows_although_the_heartbeat_is_fast() -> None:
    """A change is late if a newer heartbeat was acknowledged long before it came."""
    lag = Lag()
    lag.wrote(10, before=1.0, after=1.1)
    lag.saw(10, 1.2)

    lag.changed(9, 4.1)
    lag.changed(11, 9.0)

    assert lag.maximum(0.0, 9.0) == pytest.approx(3.0)


def test_lag_of_a_heartbeat_not_seen_yet_grows() -> None:
    """A watch that shows nothing any more is noticed while it shows nothing."""
    lag = Lag()
    lag.wrote(10, before=1.0, after=1.1)

    assert lag.latest(6.0) == pytest.approx(5.0)


def test_lag_is_known_when_the_watch_is_faster_than_the_answer() -> None:
    """The two ends of a heartbeat may be seen in either order."""
    lag = Lag()
    lag.saw(10, 1.05)

    assert lag.wrote(10, before=1.0, after=1.1) == pytest.approx(0.05)
    assert lag.latest(9.0) == pytest.approx(0.05)


def test_notes_stand_at_the_newest_revision(
    api: Apiserver, record: Callable[..., Recorder], tmp_path: Path
) -> None:
    """A fault is in the same history as what it does, in memory and on disk."""
    recorder = record(directory=tmp_path)
    revision = api.put("/pods", "a")
    until(recorder, 1)

    note = recorder.note("knav/Fault", "INJECTED", "f1", {"nodes": ["n1"]})
    recorder.stop()

    assert note.revision == revision
    assert History.load(tmp_path).records() == recorder.history.records()


def test_a_note_cannot_pass_for_a_change(record: Callable[..., Recorder]) -> None:
    """Only what the apiserver said is a record of the cluster."""
    with pytest.raises(BadInput, match=r"kind='Pod'.*knav/"):
        record().note("Pod", "ADDED", "a")


def test_wait_returns_what_the_predicate_found(
    api: Apiserver, record: Callable[..., Recorder]
) -> None:
    """It is woken by news, and gives None when the time is over."""
    recorder = record()
    threading.Timer(0.02, api.put, ("/pods", "a")).start()

    found = recorder.wait(lambda h: h.get("Pod", "default", "a"), TIMEOUT_S)

    assert (found or {})["metadata"]["uid"] == "u-a"
    assert recorder.wait(lambda h: h.get("Pod", "default", "b"), 0.01) is None


def test_transport_tells_an_error_from_silence(api: Apiserver, url: str) -> None:
    """The apiserver's no and the apiserver's absence are different things."""
    transport = HttpTransport(url)

    with pytest.raises(ApiError, match="404 NotFound: no such path"):
        transport.get("/nothing")
    api.hanging.set()
    with pytest.raises(ConnectionLost, match="TimeoutError"):
        transport.get("/pods", timeout_s=0.02)
    transport.close()
    with pytest.raises(ConnectionLost, match="closed"):
        transport.get("/pods")


@pytest.mark.parametrize("server", ["", "127.0.0.1:6443", "ftp://a"])
def test_transport_wants_a_url(server: str) -> None:
    """What is no URL is refused where it is given."""
    with pytest.raises(BadInput, match="https:// URL"):
        HttpTransport(server)


@pytest.mark.parametrize(
    ("resource", "namespace", "path"),
    [
        (Resource("Pod", "/api/v1/pods"), "ns", "/api/v1/namespaces/ns/pods"),
        (Resource("Node", "/api/v1/nodes"), "", "/api/v1/nodes"),
        (Resource("Lease", "/g/namespaces/n/leases"), "", "/g/namespaces/n/leases"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_one_object_is_listed_where_the_apiserver_reads_its_key(
    resource: Resource, namespace: str, path: str
) -> None:
    """A list of one name in one namespace costs one read of etcd, not all of them."""
    one = resource.one(namespace, "a")

    assert (one.path, one.field_selector) == (path, "metadata.name=a")
