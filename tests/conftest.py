"""Shared by all rings of tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytest_plugins = ["pytester"]
# No absolute times: a busy machine is no bug. `--hypothesis-profile=default` has more.
settings.register_profile("ci", deadline=None, max_examples=50)
settings.load_profile("ci")

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data: bytes) -> str:
    """Return how a registry names data."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(entries: Mapping[str, Any]) -> bytes:
    """Return a compressed archive: text is a file, `->x` a link, None a directory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, what in entries.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o4755
            data = b""
            if what is None:
                member.type = tarfile.DIRTYPE
            elif what.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, what[2:]
            else:
                data = what.encode()
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


class ImageRegistry:
    """A registry with one repository, `team/tool`; for images without an engine."""

    layer = staticmethod(layer)
    digest_of = staticmethod(digest_of)

    def __init__(self) -> None:
        self.host = ""
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        #: The only Authorization that opens it; empty for everybody.
        self.key = ""
        self.token_user = ""

    def push(self, tag: str, *layers: bytes, arch: str = "", **config: object) -> str:
        """Add an image and return its digest."""
        about = {"architecture": arch, "config": config}
        parts = [self._blob(json.dumps(about).encode()), *map(self._blob, layers)]
        document = {
            "mediaType": MANIFEST,
            "config": {"digest": parts[0]},
            "layers": [{"digest": digest} for digest in parts[1:]],
        }
        return self.tag(tag, MANIFEST, document)

    def tag(self, tag: str, kind: str, document: Mapping[str, Any]) -> str:
        """Add a manifest under a tag and its digest."""
        data = json.dumps(document).encode()
        digest = digest_of(data)
        self.manifests[tag] = self.manifests[digest] = (kind, data)
        return digest

    def _blob(self, data: bytes) -> str:
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def answer(self, path: str, key: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of a request."""
        self.asked.append(path)
        if path.startswith("/token"):
            given = "open" if key == self.token_user else "shut"
            return 200, {}, json.dumps({"token": given}).encode()
        if self.key and key != self.key:
            realm = f'realm="http://{self.host}/token",service="here"'
            how = "Bearer" if self.key.startswith("Bearer") else "Basic"
            return 401, {"WWW-Authenticate": f"{how} {realm}"}, b""
        kind, _, name = path.removeprefix("/v2/team/tool/").partition("/")
        if kind == "blobs" and name in self.blobs:
            return 200, {}, self.blobs[name]
        if kind == "manifests" and name in self.manifests:
            media, data = self.manifests[name]
            return 200, {"Content-Type": media}, data
        return 404, {}, b"manifest unknown"


@contextmanager
def serving(registry: ImageRegistry) -> Iterator[None]:
    """Serve a registry on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = self.headers.get("Authorization", "")
            status, headers, body = registry.answer(self.path, key)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def image_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[ImageRegistry]:
    """Return an empty registry; it knows nobody's credentials."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    made = ImageRegistry()
    with serving(made):
        yield made
