"""
etcd as loader and time machine, through the JSON gateway on its client port.

The API server follows etcd by watch, so what is written here appears in the API, and
every watcher sees ordinary events.
"""

from __future__ import annotations

import itertools
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.state.model import kind_of
from pytest_knav.control_plane.state.pipeline import Pipeline, PipelineError
from pytest_knav.errors import ClusterError
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.transport import HttpTransport


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_knav.history.merge import JsonObject

# etcd's own default: --max-txn-ops 128.
OPERATIONS_MAX: Final = 128
PAGE: Final = 4_000
REQUEST_TIMEOUT_S: Final = 60.0
# Connections; etcd gathers what comes at once into one proposal.
_WRITERS: Final = 8
REGISTRY: Final = "/registry/"
# etcd's words (api/v3/rpctypes/error.go): ErrGRPCCompacted, ErrGRPCNoSpace.
_COMPACTED: Final = "has been compacted"
_NO_SPACE: Final = "database space exceeded"
# Outside of what the API server keeps, and never written.
_PROBE: Final = b"/pytest-knav/probe"


@dataclass(frozen=True, slots=True)
class Found:
    """All keys below a prefix at one revision of the store."""

    revision: int
    values: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Marks:
    """The revision at which each key was last written, at one revision of the store."""

    revision: int
    written: dict[str, int]


class Etcd:
    """Reads and writes of one etcd, many keys at a time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._transport = HttpTransport(url, request_timeout_s=REQUEST_TIMEOUT_S)

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def read(self, prefix: str = REGISTRY) -> Found:
        """Return every key below a prefix with its value, all as of one revision."""
        values: dict[str, bytes] = {}
        revision = 0
        for page in self._pages(prefix, keys_only=False):
            revision = int(page["header"]["revision"])
            for kv in page.get("kvs", ()):
                values[b64decode(kv["key"]).decode()] = b64decode(kv.get("value", ""))
        return Found(revision, values)

    def read_some(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those of some keys that are there."""
        values: dict[str, bytes] = {}
        operations = [
            {"request_range": {"key": _encoded(key.encode())}} for key in keys
        ]
        for at in range(0, len(operations), OPERATIONS_MAX):
            answer = self._ask(
                "/v3/kv/txn", {"success": operations[at : at + OPERATIONS_MAX]}
            )
            for response in answer.get("responses", ()):
                for kv in response["response_range"].get("kvs", ()):
                    key = b64decode(kv["key"]).decode()
                    values[key] = b64decode(kv.get("value", ""))
        return values

    def marks(self, prefix: str = REGISTRY) -> Marks:
        """Return when each key below a prefix was last written, without the values."""
        written: dict[str, int] = {}
        revision = 0
        for page in self._pages(prefix, keys_only=True):
            revision = int(page["header"]["revision"])
            for kv in page.get("kvs", ()):
                written[b64decode(kv["key"]).decode()] = int(kv["mod_revision"])
        return Marks(revision, written)

    def write(
        self, puts: Mapping[str, bytes], deletes: Iterable[str]
    ) -> dict[str, int]:
        """
        Put and delete keys; return the revision at which each was written.

        No two keys of one kind get the same revision. Whoever resumes a watch in the
        middle of those would never see the rest: an API server resumes *behind* a
        revision. A watch is of one kind, so keys of different kinds (a node, its
        lease, its slice) may share a transaction. The order of the writes is not
        defined: nobody who needs one may be running.
        """
        writes = [
            *(_Write(key, None) for key in deletes),
            *(_Write(key, value) for key, value in puts.items()),
        ]
        if not writes:
            return {}
        together = of_different_kinds(writes)
        shares = [share for n in range(_WRITERS) if (share := together[n::_WRITERS])]
        with ThreadPoolExecutor(len(shares), "knav-etcd") as pool:
            revisions = list(pool.map(self._send, shares))
        return {
            write.key: revision
            for share, found in zip(shares, revisions, strict=True)
            for group, revision in zip(share, found, strict=True)
            for write in group
        }

    def revision(self) -> int:
        """Return the store's current revision."""
        request = {"key": _encoded(b"\0"), "count_only": True}
        return int(self._ask("/v3/kv/range", request)["header"]["revision"])

    def compact(self, revision: int) -> None:
        """Forget what was before a revision; harmless when it is forgotten already."""
        try:
            self._ask("/v3/kv/compaction", {"revision": str(revision)})
        except ClusterError as error:
            if _COMPACTED not in str(error):
                raise

    def arm_no_space(self) -> None:
        """Raise the alarm that etcd raises when its space is used up."""
        self._alarm("ACTIVATE", "NOSPACE")

    def disarm(self) -> None:
        """End the alarm; harmless where there is none."""
        self._alarm("DEACTIVATE", "NOSPACE")

    def defragment(self) -> None:
        """Give back what compacted revisions have used."""
        self._ask("/v3/maintenance/defragment", {})

    def out_of_space(self) -> bool:
        """Return whether a write would be refused for want of space; writes nothing."""
        # Its cost is looked at before its condition, which never holds (etcd,
        # server/etcdserver/apply/apply.go, applierV3Capped.Txn).
        key = _encoded(_PROBE)
        never = {"key": key, "target": "VERSION", "result": "LESS", "version": "0"}
        put = {"request_put": {"key": key, "value": key}}
        try:
            self._ask("/v3/kv/txn", {"compare": [never], "success": [put]})
        except ClusterError as error:
            if _NO_SPACE in str(error):
                return True
            raise
        return False

    def _alarm(self, action: str, alarm: str) -> None:
        status = self._ask("/v3/maintenance/status", {})
        member = status["header"]["member_id"]
        self._ask(
            "/v3/maintenance/alarm",
            {"action": action, "memberID": member, "alarm": alarm},
        )

    def _send(self, groups: list[list[_Write]]) -> list[int]:
        """Send requests one behind the other, without a pause for each answer."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        try:
            with Pipeline(host, int(port), timeout_s=REQUEST_TIMEOUT_S) as pipeline:
                answers = pipeline.post(_request(group) for group in groups)
                return [int(answer["header"]["revision"]) for answer in answers]
        except (OSError, PipelineError) as error:
            raise ClusterError(
                f"etcd at {self.url} does not take what is written: {error}"
            ) from error

    def _pages(self, prefix: str, *, keys_only: bool) -> Iterator[JsonObject]:
        start, end = prefix.encode(), _after(prefix.encode())
        revision = 0
        while True:
            page = self._ask(
                "/v3/kv/range",
                {
                    "key": _encoded(start),
                    "range_end": _encoded(end),
                    "limit": str(PAGE),
                    "keys_only": keys_only,
                    "revision": str(revision),
                },
            )
            # Every page is read at the revision of the first.
            revision = revision or int(page["header"]["revision"])
            page["header"]["revision"] = revision
            yield page
            if not page.get("more"):
                return
            start = b64decode(page["kvs"][-1]["key"]) + b"\0"

    def _ask(self, path: str, body: JsonObject) -> JsonObject:
        with _clear_errors(self.url):
            return self._transport.create(path, body)


@dataclass(frozen=True, slots=True)
class _Write:
    """A key and its new value, or None for its end."""

    key: str
    value: bytes | None

    def operation(self) -> bytes:
        """Return it as one operation of a transaction, in JSON."""
        key = _encoded(self.key.encode()).encode()
        if self.value is None:
            return b'{"request_delete_range":{"key":"%s"}}' % key
        value = b64encode(self.value)
        return b'{"request_put":{"key":"%s","value":"%s"}}' % (key, value)


def of_different_kinds(writes: Sequence[_Write]) -> list[list[_Write]]:
    """Return writes in groups that may share a revision: one of a kind in each."""
    by_kind: dict[str, list[_Write]] = {}
    for write in writes:
        by_kind.setdefault(kind_of(write.key), []).append(write)
    rows = itertools.zip_longest(*by_kind.values())
    groups = [[write for write in row if write is not None] for row in rows]
    return [
        group[at : at + OPERATIONS_MAX]
        for group in groups
        for at in range(0, len(group), OPERATIONS_MAX)
    ]


def _request(group: Sequence[_Write]) -> tuple[str, bytes]:
    """Return the path and the body of the request for a group."""
    operations = b",".join(write.operation() for write in group)
    return "/v3/kv/txn", b'{"success":[%s]}' % operations


def _encoded(value: bytes) -> str:
    return b64encode(value).decode()


def _after(prefix: bytes) -> bytes:
    """Return the first key behind all those that begin with a prefix."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


@contextmanager
def _clear_errors(url: str) -> Iterator[None]:
    try:
        yield
    except ConnectionLost as error:
        raise ClusterError(
            f"etcd at {url} does not answer: {error}; start it again with "
            'cluster.component("etcd").restart()'
        ) from error
    except ApiError as error:
        raise ClusterError(f"etcd at {url} refused: {error}") from error
