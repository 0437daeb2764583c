"""Serve the links of one cluster, and a small API for their rules, on loopback."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from pytest_knav.control_plane.network.layer.messages import (
    HEAD_BYTES_MAX,
    MessageError,
    body_of,
    read_head,
)
from pytest_knav.control_plane.network.layer.relay import (
    Relay,
    client_context,
    server_context,
)
from pytest_knav.control_plane.network.layer.rules import Rule


_HOST: Final = "127.0.0.1"


async def control(
    relays: dict[str, Relay],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Answer one request: GET / shows all, PUT and DELETE /LINK change a rule."""
    try:
        head = await read_head(reader)
        if head is not None:
            pieces = [p async for p in body_of(reader, head, to_the_end=False)]
            status, answer = _do(relays, head.start[:2], b"".join(pieces))
            body = json.dumps(answer).encode()
            first = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{first}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
    except (OSError, EOFError, MessageError):
        pass
    finally:
        writer.close()


def _do(
    relays: dict[str, Relay], start: tuple[str, ...], body: bytes
) -> tuple[int, dict[str, Any]]:
    method, path = start[0], unquote(start[1].strip("/"))
    if method == "GET":
        return 200, {name: relay.state() for name, relay in relays.items()}
    if path not in relays:
        return 404, {"error": f"no link {path!r}: there are {', '.join(relays)}"}
    try:
        rule = Rule.of(json.loads(body)) if method == "PUT" else None
    except (TypeError, ValueError) as error:
        return 400, {"error": f"no rule: {error}"}
    relays[path].put(rule)
    return 200, relays[path].state()


async def serve(settings: dict[str, Any]) -> None:
    """Serve until the process is ended."""
    shown = server_context(settings["server"])
    relays = {
        name: Relay(upstream=link["upstream"], tls=client_context(link["client"]))
        for name, link in settings["links"].items()
    }
    for name, relay in relays.items():
        await asyncio.start_server(
            relay.serve,
            _HOST,
            settings["links"][name]["listen"],
            ssl=shown,
            limit=HEAD_BYTES_MAX,
        )
    answer = functools.partial(control, relays)
    # Last: whoever gets an answer here can use the links.
    api = await asyncio.start_server(answer, _HOST, settings["control"])
    await api.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
