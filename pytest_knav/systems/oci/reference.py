"""What an image is called: registry, repository, tag or digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pytest_knav.errors import BadInput


# The registry and the tag of names that have none (distribution/reference,
# normalize.go: defaultDomain, officialRepoPrefix, defaultTag).
_DEFAULT_REGISTRY: Final = "docker.io"
_DEFAULT_HOST: Final = "registry-1.docker.io"
_OFFICIAL: Final = "library"
_DEFAULT_TAG: Final = "latest"
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """
    An image in a registry.

    Attributes:
        registry: Host and port.
        repository: Such as `library/busybox`.
        version: A tag, or a digest `sha256:…`.

    """

    registry: str
    repository: str
    version: str

    @property
    def pinned(self) -> bool:
        """Return whether it is named by its digest."""
        return self.version.startswith("sha256:")

    @property
    def base_url(self) -> str:
        """Return where the registry's API is; loopback ones speak plain HTTP."""
        host = self.registry
        if host == _DEFAULT_REGISTRY:
            host = _DEFAULT_HOST
        name = host.partition(":")[0]
        scheme = "http" if name in {"127.0.0.1", "localhost"} else "https"
        return f"{scheme}://{host}/v2/{self.repository}"

    def __str__(self) -> str:
        mark = "@" if self.pinned else ":"
        return f"{self.registry}/{self.repository}{mark}{self.version}"


def parse_reference(text: str) -> Reference:
    """
    Return the image that a name means, as container engines read it.

    Raises:
        BadInput: It is no image's name.

    """
    name, _, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    # A registry has a dot or a port; "localhost" is one by convention.
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    else:
        registry, path = _DEFAULT_REGISTRY, name
    path, colon, tag = path.partition(":")
    if registry == _DEFAULT_REGISTRY and "/" not in path:
        path = f"{_OFFICIAL}/{path}"
    version = digest or (tag if colon else _DEFAULT_TAG)
    good_version = _DIGEST.fullmatch(version) if digest else _TAG.fullmatch(version)
    if not _REPOSITORY.fullmatch(path) or not good_version:
        raise BadInput(
            f"image {text!r}: give REGISTRY/REPOSITORY:TAG or "
            "REGISTRY/REPOSITORY@sha256:DIGEST"
        )
    return Reference(registry=registry, repository=path, version=version)
