"""What is done to which requests, and how requests are told apart."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit


if TYPE_CHECKING:
    from collections.abc import Mapping

ERRORS: Final = "errors"
STALE: Final = "stale"
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch"}
# How the API server names them (apimachinery/pkg/apis/meta/v1/types.go).
_REASONS: Final = {
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
_TRUE: Final = {"1", "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What a request asks for, in the words of RBAC.

    Attributes:
        verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
            `deletecollection`.
        resource: The plural, with a subresource behind a slash; empty where the path
            names none, such as `/version`.
        initial: Whether a watch begins with all that is there (KEP-3157).

    """

    verb: str
    resource: str
    initial: bool = False


def asked(method: str, target: str) -> Asked:
    """Return what a request asks for (apiserver, request/requestinfo.go)."""
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    steps = [step for step in parts.path.split("/") if step]
    # /api/v1/… and /apis/GROUP/VERSION/…
    rest = steps[2:] if steps[:1] == ["api"] else steps[3:]
    if steps[:1] not in (["api"], ["apis"]) or not rest:
        return Asked(verb=method.lower(), resource="")
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _OF_NAMESPACE:
        rest = rest[2:]
    resource = "/".join([rest[0], *rest[2:3]])
    named = len(rest) > 1
    if method in {"GET", "HEAD"}:
        watches = query.get("watch", [""])[-1] in _TRUE
        verb = "watch" if watches else "get" if named else "list"
    elif method == "DELETE":
        verb = "delete" if named else "deletecollection"
    else:
        verb = _VERBS.get(method, method.lower())
    initial = query.get("sendInitialEvents", [""])[-1] in _TRUE
    return Asked(verb=verb, resource=resource, initial=initial)


# Subresources of a namespace itself.
_OF_NAMESPACE: Final = {"status", "finalize"}


@dataclass(slots=True)
class Rule:
    """
    What is done to the requests of one link.

    Attributes:
        kind: `errors` or `stale`.
        verbs: Which verbs; empty for all.
        resources: Which resources, as patterns; empty for all.
        status: What is answered.
        share: To which share of them, from 0 to 1.
        retry_after_s: When the client is told to come again; None: it is not told.
        delay_s: How much later events come; None: when the rule ends.
        over: Set when the rule ends.

    """

    kind: str
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    status: int = 503
    share: float = 1.0
    retry_after_s: int | None = None
    delay_s: float | None = None
    seed: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.verbs, self.resources = tuple(self.verbs), tuple(self.resources)
        # Not for secrets: the same seed hurts the same requests in their order.
        self._random = random.Random(self.seed)  # noqa: S311

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Rule:
        """Return the rule that JSON holds; raises TypeError for what is none."""
        rule = cls(**data)
        if rule.kind not in {ERRORS, STALE}:
            raise TypeError(f"kind={rule.kind!r}")
        return rule

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "kind": self.kind,
            "verbs": list(self.verbs),
            "resources": list(self.resources),
            "status": self.status,
            "share": self.share,
            "retry_after_s": self.retry_after_s,
            "delay_s": self.delay_s,
            "seed": self.seed,
        }

    def fits(self, what: Asked) -> bool:
        """Return whether it is about a request."""
        if self.verbs and what.verb not in self.verbs:
            return False
        return not self.resources or any(
            fnmatchcase(what.resource, pattern) for pattern in self.resources
        )

    def refuses(self, what: Asked) -> bool:
        """Return whether a request is answered with an error, by the next draw."""
        if self.kind != ERRORS or not self.fits(what):
            return False
        return self._random.random() < self.share

    def holds(self, what: Asked) -> bool:
        """Return whether what a request streams is held back."""
        return self.kind == STALE and what.verb == "watch" and self.fits(what)

    def answer(self) -> bytes:
        """Return the error as the API server would write it."""
        body = json.dumps(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": "pytest-knav: a fault on this connection",
                "reason": _REASONS.get(self.status, ""),
                "code": self.status,
            }
        ).encode()
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Error')}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if self.retry_after_s is not None:
            lines.append(f"Retry-After: {self.retry_after_s}")
        return "\r\n".join([*lines, "", ""]).encode() + body
