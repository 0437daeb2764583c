"""Who the user is to a registry, from the files that container engines write."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HELPER_TIMEOUT_S: Final = 30.0
# What Docker's own registry is called in these files.
_ALIASES: Final[Mapping[str, str]] = {"docker.io": "https://index.docker.io/v1/"}


def files() -> Iterator[Path]:
    """Return where credentials may be: containers-auth.json(5), then Docker's."""
    given = os.environ.get("REGISTRY_AUTH_FILE")
    if given:
        yield Path(given)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime) / "containers" / "auth.json"
    docker = os.environ.get("DOCKER_CONFIG")
    yield (Path(docker) if docker else Path.home() / ".docker") / "config.json"


def credentials(registry: str) -> tuple[str, str] | None:
    """
    Return user and password for a registry; None for an anonymous user.

    Raises:
        BadInput: A file of credentials cannot be read, or a helper fails.

    """
    for path in files():
        try:
            document = json.loads(path.read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise BadInput(f"registry credentials {path}: {error}") from error
        found = _of(document, registry, path)
        if found is not None:
            return found
    return None


def _of(
    document: Mapping[str, Any], registry: str, path: Path
) -> tuple[str, str] | None:
    helpers = document.get("credHelpers", {})
    for name in (registry, _ALIASES.get(registry, registry)):
        helper = helpers.get(name)
        if helper:
            return _asked(helper, name)
        entry = document.get("auths", {}).get(name)
        if entry and entry.get("auth"):
            return _decoded(entry["auth"], path)
    return None


def _decoded(text: str, path: Path) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadInput(f"registry credentials {path}: {error}") from error
    return user, password


def _asked(helper: str, name: str) -> tuple[str, str]:
    """Return what a credential helper says (docker-credential-helpers protocol)."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=name,
            capture_output=True,
            text=True,
            check=True,
            timeout=_HELPER_TIMEOUT_S,
        )
        said = json.loads(done.stdout)
        return said["Username"], said["Secret"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise BadInput(f"{program} get {name}: {error}") from error
