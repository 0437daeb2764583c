"""HTTP/1.1 messages as they are relayed: heads that are read, bodies that are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

# The API server takes heads of 1 MiB (net/http, DefaultMaxHeaderBytes).
HEAD_BYTES_MAX: Final = 2**20
_PIECE_BYTES: Final = 2**16
_END: Final = b"\r\n"


class MessageError(Exception):
    """The other side does not speak HTTP/1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """
    The first line and the fields of a message.

    Attributes:
        raw: All of it, as it came.
        start: The first line, in its three parts.
        fields: By name in lower case; of a repeated one the last.

    """

    raw: bytes
    start: tuple[str, str, str]
    fields: dict[str, str]

    @property
    def chunked(self) -> bool:
        """Return whether the body comes in chunks."""
        return "chunked" in self.fields.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int | None:
        """Return how long the body is, None where it is not said."""
        text = self.fields.get("content-length")
        return None if text is None else int(text)

    @property
    def closes(self) -> bool:
        """Return whether the connection ends after the message."""
        return "close" in self.fields.get("connection", "").lower()


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the next head; None when the connection has ended before one."""
    raw = await _read_to(reader, b"\r\n\r\n")
    if raw is None:
        return None
    first, *rest = raw.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2:
        raise MessageError(f"no first line of HTTP: {first!r:.80}")
    fields = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    start = (parts[0], parts[1], parts[2] if len(parts) > 2 else "")
    return Head(raw=raw, start=start, fields=fields)


async def _read_to(reader: asyncio.StreamReader, end: bytes) -> bytes | None:
    try:
        return await reader.readuntil(end)
    except EOFError:
        return None
    except OSError as error:
        raise MessageError(str(error)) from error


async def body_of(
    reader: asyncio.StreamReader, head: Head, *, to_the_end: bool
) -> AsyncIterator[bytes]:
    """
    Yield a body in pieces that can be written on as they are.

    Of a chunked body a piece is a whole chunk with its size, so that nothing that is
    held back is cut.

    Args:
        reader: Where it comes from.
        head: What it says of the body.
        to_the_end: Whether a body without a length goes on to the connection's end.

    """
    if head.chunked:
        async for chunk in _chunks(reader):
            yield chunk
        return
    left = head.length
    if left is None and not to_the_end:
        return
    while left is None or left > 0:
        piece = await reader.read(_PIECE_BYTES if left is None else min(left, 2**16))
        if not piece:
            return
        if left is not None:
            left -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        size_line = await _read_to(reader, _END)
        if size_line is None:
            return
        size = int(size_line.split(b";")[0], 16)
        if size == 0:
            # Trailers end with an empty line.
            trailer: bytes | None = b""
            ending = size_line
            while trailer != _END:
                trailer = await _read_to(reader, _END)
                if trailer is None:
                    return
                ending += trailer
            yield ending
            return
        yield size_line + await reader.readexactly(size + len(_END))
