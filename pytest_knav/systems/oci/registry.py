"""The API of image registries: manifests and blobs (OCI distribution spec 1.1)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import urllib3

from pytest_knav.errors import AssetError
from pytest_knav.systems.oci.credentials import credentials


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_knav.systems.oci.reference import Reference

#: Manifests of one image, and indexes of those of several platforms.
_IMAGE_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_TIMEOUT: Final = urllib3.Timeout(connect=10.0, read=60.0)
_MANIFEST_BYTES_MAX: Final = 4 * 1024**2
_CHUNK_BYTES: Final = 1024**2
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_UNAUTHORIZED: Final = 401


class Registry:
    """
    One image's repository.

    Args:
        reference: The image.

    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._pool = urllib3.PoolManager(
            retries=urllib3.Retry(3, backoff_factor=0.2, raise_on_status=False),
            timeout=_TIMEOUT,
        )
        self._authorization = ""

    def close(self) -> None:
        """Close every connection."""
        self._pool.clear()

    def manifest(self, version: str) -> tuple[str, dict[str, Any]]:
        """
        Return the digest and the manifest, or index, of a tag or digest.

        Raises:
            AssetError: There is none, it is unreachable, or its digest is another.

        """
        accept = ", ".join((*_IMAGE_TYPES, *INDEX_TYPES))
        with self._get(f"manifests/{version}", accept) as response:
            data = response.read(_MANIFEST_BYTES_MAX + 1)
        if len(data) > _MANIFEST_BYTES_MAX:
            raise AssetError(f"image {self._reference}: its manifest is too large")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if version.startswith("sha256:") and digest != version:
            raise AssetError(
                f"image {self._reference}: the registry sent a manifest with the "
                f"digest {digest} for {version}: it is damaged or not what was asked"
            )
        try:
            document: dict[str, Any] = json.loads(data)
        except ValueError as error:
            raise AssetError(
                f"image {self._reference}: its manifest is no JSON: {error}"
            ) from error
        return digest, document

    def blob(self, digest: str, target: Path) -> None:
        """
        Write a blob to a file.

        Raises:
            AssetError: There is none, it is unreachable, or its digest is another.

        """
        found = hashlib.sha256()
        with self._get(f"blobs/{digest}", "*/*") as response, target.open("wb") as file:
            for chunk in response.stream(_CHUNK_BYTES):
                found.update(chunk)
                file.write(chunk)
        if digest != f"sha256:{found.hexdigest()}":
            raise AssetError(
                f"image {self._reference}: a part of it has the digest "
                f"sha256:{found.hexdigest()}, {digest} was asked for: it is damaged"
            )

    @contextmanager
    def _get(
        self, path: str, accept: str
    ) -> Iterator[urllib3.response.BaseHTTPResponse]:
        url = f"{self._reference.base_url}/{path}"
        try:
            response = self._ask(url, accept)
            if response.status == _UNAUTHORIZED and not self._authorization:
                response.drain_conn()
                challenge = response.headers.get("WWW-Authenticate", "")
                self._authorization = self._authorize(challenge)
                response = self._ask(url, accept)
            if response.status != 200:
                said = response.read(500).decode(errors="replace").strip()
                raise AssetError(
                    f"image {self._reference}: {url}: HTTP {response.status}: {said}"
                )
            try:
                yield response
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise AssetError(
                f"image {self._reference}: {self._reference.registry} cannot be "
                f"reached: {error}"
            ) from error

    def _ask(self, url: str, accept: str) -> urllib3.response.BaseHTTPResponse:
        headers = {"Accept": accept}
        if self._authorization:
            headers["Authorization"] = self._authorization
        return self._pool.request("GET", url, headers=headers, preload_content=False)

    def _authorize(self, challenge: str) -> str:
        """Return what answers a challenge (distribution, spec/auth/token.md)."""
        user = credentials(self._reference.registry)
        basic = ""
        if user is not None:
            basic = "Basic " + base64.b64encode(":".join(user).encode()).decode()
        if not challenge.lower().startswith("bearer"):
            if not basic:
                raise AssetError(
                    f"image {self._reference}: {self._reference.registry} asks who "
                    "you are: log in with your container engine, which writes the file"
                )
            return basic
        fields = dict(_CHALLENGE.findall(challenge))
        asked = {k: v for k, v in fields.items() if k in {"service", "scope"}}
        asked.setdefault("scope", f"repository:{self._reference.repository}:pull")
        response = self._pool.request(
            "GET",
            fields.get("realm", ""),
            fields=asked,
            headers={"Authorization": basic} if basic else {},
        )
        if response.status != 200:
            raise AssetError(
                f"image {self._reference}: {fields.get('realm')} gives no token: HTTP "
                f"{response.status}"
            )
        said: Mapping[str, Any] = response.json()
        return f"Bearer {said.get('token') or said.get('access_token')}"
