"""The heartbeat's Lease: made once, whoever comes first."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav.history.connection import ApiError
from pytest_knav.history.heartbeat import Heartbeat


class Answers:
    """Answers each write with the next of a list: a status, or a revision."""

    def __init__(self, *answers: tuple[str, int]) -> None:
        self.left = list(answers)

    def patch(self, _path: str, _body: Any) -> Any:
        """Answer a patch."""
        return self._next("patch")

    def create(self, _path: str, _body: Any) -> Any:
        """Answer a create."""
        return self._next("create")

    def _next(self, verb: str) -> Any:
        expected, answer = self.left.pop(0)
        assert verb == expected
        if answer in {403, 404, 409}:
            raise ApiError(answer, "no", "no")
        return {"metadata": {"resourceVersion": str(answer)}}


def beat(*answers: tuple[str, int]) -> int:
    """Write the Lease once."""
    transport: Any = Answers(*answers)
    revision = Heartbeat(transport, lambda _: None).beat()
    assert transport.left == []
    return revision


def test_a_missing_lease_is_made() -> None:
    """The first beat of a cluster."""
    assert beat(("patch", 404), ("create", 5)) == 5


def test_a_lease_that_another_beat_made_meanwhile_is_renewed() -> None:
    """A `catch_up` beats too: losing that race is no reason for a doubt."""
    assert beat(("patch", 404), ("create", 409), ("patch", 6)) == 6


@pytest.mark.parametrize(
    "answers", [[("patch", 403)], [("patch", 404), ("create", 403)]]
)
def test_any_other_refusal_is_passed_on(answers: list[tuple[str, int]]) -> None:
    """What cannot be written must be known."""
    with pytest.raises(ApiError):
        beat(*answers)
