"""One link: connections of a component, led on to the API server request by request."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.network.layer.held import Held
from pytest_knav.control_plane.network.layer.messages import (
    HEAD_BYTES_MAX,
    Head,
    MessageError,
    body_of,
    read_head,
)
from pytest_knav.control_plane.network.layer.rules import Asked, Rule, asked


if TYPE_CHECKING:
    from collections.abc import Mapping

_HOST: Final = "127.0.0.1"
_BODILESS: Final = {"204", "304"}
_BROKEN: Final = (OSError, EOFError, MessageError, ValueError)
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Relay:
    """
    The way of one component to the API server.

    Attributes:
        upstream: The port of the API server.
        tls: How the layer shows itself to it: as the component.
        rule: What is done to requests, if anything is.
        requests: How many came since the start.
        refused: How many were answered with an error since the rule began.
        held: The watches that are held back now.

    """

    upstream: int
    tls: ssl.SSLContext
    rule: Rule | None = None
    requests: int = 0
    refused: int = 0
    held: set[Held] = field(default_factory=set)

    def state(self) -> dict[str, Any]:
        """Return rule and counts as JSON can hold them."""
        return {
            "rule": None if self.rule is None else self.rule.as_data(),
            "requests": self.requests,
            "refused": self.refused,
            "held": len(self.held),
            "held_bytes": sum(one.bytes for one in self.held),
        }

    def put(self, rule: Rule | None) -> None:
        """Follow another rule; what the old one holds back is delivered at once."""
        if self.rule is not None:
            self.rule.over.set()
        self.rule, self.refused = rule, 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Lead one connection on, to its end."""
        try:
            server = await asyncio.open_connection(
                _HOST, self.upstream, ssl=self.tls, limit=HEAD_BYTES_MAX
            )
        except OSError:
            writer.transport.abort()
            return
        exchange = asyncio.ensure_future(self._exchanges((reader, writer), server))
        # A client that goes away while an answer streams takes the stream with it.
        left = asyncio.ensure_future(writer.wait_closed())
        try:
            await asyncio.wait({exchange, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (exchange, left):
                task.cancel()
            await asyncio.gather(exchange, left, return_exceptions=True)
            for one in (writer, server[1]):
                one.transport.abort()

    async def _exchanges(self, client: _Streams, server: _Streams) -> None:
        with contextlib.suppress(*_BROKEN, ExceptionGroup):
            while await self._exchange(client, server):
                pass

    async def _exchange(self, client: _Streams, server: _Streams) -> bool:
        """Lead one request and its answer on; return whether another may come."""
        request = await read_head(client[0])
        if request is None:
            return False
        self.requests += 1
        method, target, _ = request.start
        what, rule = asked(method, target), self.rule
        if rule is not None and rule.refuses(what):
            async for _piece in body_of(client[0], request, to_the_end=False):
                pass
            # Before the answer: who has seen it may count on it.
            self.refused += 1
            await _write(client[1], rule.answer())
            return not request.closes
        await _write(server[1], request.raw)
        async for piece in body_of(client[0], request, to_the_end=False):
            await _write(server[1], piece)
        return await self._answer(client, server, request, what)

    async def _answer(
        self, client: _Streams, server: _Streams, request: Head, what: Asked
    ) -> bool:
        head = await read_head(server[0])
        while head is not None and head.start[1].startswith("1"):
            await _write(client[1], head.raw)
            if head.start[1] == "101":
                await _tunnel(client, server)
                return False
            head = await read_head(server[0])
        if head is None:
            return False
        await _write(client[1], head.raw)
        if request.start[0] == "HEAD" or head.start[1] in _BODILESS:
            return not head.closes
        body = body_of(server[0], head, to_the_end=True)
        rule = self.rule
        if rule is not None and rule.holds(what) and head.start[1] == "200":
            await self._hold(client[1], body, Held(rule, initial=what.initial))
        else:
            async for piece in body:
                await _write(client[1], piece)
        return not head.closes and (head.chunked or head.length is not None)

    async def _hold(self, writer: asyncio.StreamWriter, body: Any, held: Held) -> None:  # noqa: ANN401 - pieces
        self.held.add(held)
        try:
            await held.relay(body, lambda piece: _write(writer, piece))
        finally:
            self.held.discard(held)


async def _write(writer: asyncio.StreamWriter, piece: bytes) -> None:
    writer.write(piece)
    await writer.drain()


async def _tunnel(client: _Streams, server: _Streams) -> None:
    """Lead bytes on both ways until one side ends: another protocol has begun."""

    async def one_way(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while piece := await reader.read(2**16):
            await _write(writer, piece)

    ways = {
        asyncio.ensure_future(one_way(client[0], server[1])),
        asyncio.ensure_future(one_way(server[0], client[1])),
    }
    _, rest = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()


def server_context(files: Mapping[str, str]) -> ssl.SSLContext:
    """Return how the layer shows itself to components, and whom it lets in."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files["ca"])
    context.load_cert_chain(files["cert"], files["key"])
    # It goes on with a component's rights, so only who has the cluster's may use it.
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(files: Mapping[str, str]) -> ssl.SSLContext:
    """Return how the layer shows itself to the API server: as a component."""
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(files["cert"], files["key"])
    context.set_alpn_protocols(["http/1.1"])
    return context
