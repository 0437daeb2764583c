"""Reading an answer that goes on: chunks in any pieces, and no faster than needed."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.history import stream as stream_module
from pytest_knav.history.connection import ConnectionLost
from pytest_knav.history.stream import Pace, _Chunks
from pytest_knav.history.transport import HttpTransport


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TIMEOUT_S = 20.0


def chunk(content: bytes) -> bytes:
    """Return a chunk."""
    return b"%x\r\n%s\r\n" % (len(content), content)


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one request: after its head was read, `talk` answers."""

    def run() -> None:
        wire, _ = listening.accept()
        with wire:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.settimeout(TIMEOUT_S)
            wire.recv(65_536)
            talk(wire)

    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        thread = threading.Thread(target=run)
        thread.start()
        stack.callback(thread.join)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def read(url: str, *, pace_s: float = 0.0) -> list[list[bytes]]:
    """Return what a stream says until its end, as it was handed over."""
    transport = HttpTransport(url, stream_timeout_s=TIMEOUT_S, pace_s=pace_s)
    try:
        with transport.stream("/watch") as batches:
            return list(batches)
    finally:
        transport.close()


def flat(batches: list[list[bytes]]) -> list[bytes]:
    """Return the lines of all batches."""
    return [line for batch in batches for line in batch]


def chunks(*pieces: bytes) -> _Chunks:
    """Return the reader of a body that comes in these pieces, then ends."""
    waiting = list(pieces)

    def read1(_: int) -> bytes:
        return waiting.pop(0) if waiting else b""

    response = SimpleNamespace(fp=SimpleNamespace(read1=read1))
    return _Chunks(response, SimpleNamespace(more=lambda: False))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=60),
    size=st.integers(1, 20),
    cuts=st.lists(st.integers(1, 12), max_size=20),
)
def test_a_body_is_the_same_however_it_is_cut(
    content: bytes, size: int, cuts: list[int]
) -> None:
    """Into chunks by the server, and into pieces by the network."""
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    rest = b"".join(map(chunk, parts)) + b"0\r\n\r\n"
    pieces = []
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    body = chunks(*filter(None, [*pieces, rest]))

    found = list(iter(body.read, b""))

    assert b"".join(found) == content


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"zz\r\n", "invalid literal"),
        (b"-5\r\n", "a chunk of -5 bytes"),
        (b"fffffffff\r\n", "a chunk of 68719476735 bytes"),
        (b"4\r\nabc\n??0\r\n\r\n", "does not end where it should"),
        (b"x" * 2_000, "a chunk without a size"),
    ],
)
def test_what_is_no_chunk_is_refused(body: bytes, why: str) -> None:
    """Rather than to take it for what was said, or to wait for more of it."""
    with pytest.raises(ValueError, match=why):
        chunks(body).read()


@pytest.mark.parametrize(
    "body",
    [chunk(b"whole\n"), chunk(b"whole\n") + b"20\r\ncut", b"zz\r\n"],
    ids=["ended", "cut", "no chunk"],
)
def test_what_is_no_whole_answer_is_a_lost_connection(body: bytes) -> None:
    """A watch that breaks is resumed where it was, so it must be seen to be broken."""
    with (
        server(lambda w: w.sendall(HEAD + body)) as url,
        pytest.raises(ConnectionLost),
    ):
        read(url)


def test_a_chunk_larger_than_a_read_arrives_whole() -> None:
    """A slice of devices has hundreds of kilobytes."""
    line = b"x" * 700_000

    with server(lambda w: w.sendall(HEAD + chunk(line + b"\n") + b"0\r\n\r\n")) as url:
        assert flat(read(url)) == [line]


def pauses(pace: Pace, per_s: float, seconds: float, since: float) -> list[float]:
    """Return the pauses while lines come at a steady rate."""
    found: list[float] = []
    now, said = since, 0.0
    while now < since + seconds:
        # Whoever does not pause is woken by the next line.
        now += max(found[-1] if found else 0.0, 1 / per_s)
        lines = int((now - since) * per_s + 1e-6 - said)
        said += lines
        found.append(pace.after(lines, now))
    return found


def test_a_busy_stream_is_left_alone_between_two_reads() -> None:
    """To wake for every line would cost more than all that is done with it."""
    found = pauses(Pace(0.05), per_s=300, seconds=10, since=100.0)

    assert set(found[100:]) == {0.05}
    assert len(found) < 300


@pytest.mark.parametrize("per_s", [1, 10, 40])
def test_a_stream_that_says_little_is_read_at_once(per_s: int) -> None:
    """A pause would bring one line, which could have been there earlier."""
    assert set(pauses(Pace(0.05), per_s, seconds=10, since=100.0)) == {0.0}


def test_a_burst_is_read_at_once() -> None:
    """Recovery is measured by what one workload says, in tenths of a second."""
    pace = Pace(0.05)
    pauses(pace, per_s=1, seconds=5, since=100.0)

    found = pauses(pace, per_s=200, seconds=0.1, since=106.0)

    assert set(found) == {0.0}


def test_a_stream_is_read_at_once_again_when_it_is_quiet() -> None:
    """What was, is soon forgotten."""
    pace = Pace(0.05)
    pauses(pace, per_s=1_000, seconds=5, since=100.0)

    assert pace.after(1, 106.0) == 0.0


def test_without_a_pace_there_is_no_pause() -> None:
    """As for etcd, whose answer somebody waits for."""
    assert set(pauses(Pace(0.0), per_s=5_000, seconds=1, since=100.0)) == {0.0}


def test_a_quiet_stream_is_read_at_once_and_a_pause_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pause of an hour delays no first line, and nobody who closes the stream."""
    monkeypatch.setattr(stream_module, "_WORTH_LINES", 1e6)
    told = threading.Event()

    def talk(wire: socket.socket) -> None:
        wire.sendall(HEAD + chunk(b"first\n"))
        told.wait(TIMEOUT_S)
        wire.sendall(chunk(b"more\n" * 500))
        wire.recv(1)

    with server(talk) as url:
        transport = HttpTransport(url, stream_timeout_s=TIMEOUT_S, pace_s=3_600.0)
        stream = transport.stream("/watch")
        with stream as batches:
            first = next(batches)
            told.set()
            more = next(batches)
            threading.Timer(0.0, stream.close).start()
            with pytest.raises(ConnectionLost):
                next(batches)
        transport.close()

    assert first == [b"first"]
    assert set(more) == {b"more"}
