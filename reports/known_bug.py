"""
`known_bug`: a test that is expected to fail, for a reason that somebody has written up.

Strict: only what the system under test broke counts as the expected failure, and a test
that passes is red, so that a bug that is gone is noticed.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from pytest_knav.errors import BadInput, KnavAssertionError


if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = "known_bug"
#: The verdict on a test that failed as expected.
VERDICT: Final = "known bug"
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBug:
    """
    What the mark says.

    Attributes:
        issue: Where the bug is written up.
        fixed_in: The Kubernetes version from which on it is no excuse; empty for none.

    """

    issue: str
    fixed_in: str = ""

    def excuses(self, version: str) -> bool:
        """Return whether a failure with a version of Kubernetes is to be expected."""
        fixed, here = _numbers(self.fixed_in), _numbers(version)
        return not fixed or not here or here < fixed


def marked(item: pytest.Item) -> KnownBug | None:
    """
    Return the known bug that a test is marked with, if it is.

    Raises:
        BadInput: The mark takes something else.

    """
    mark = item.get_closest_marker(MARK)
    if mark is None:
        return None
    given = dict(zip(("issue",), mark.args, strict=False)) | dict(mark.kwargs)
    issue, fixed_in = given.pop("issue", None), given.pop("fixed_in", "") or ""
    if given or len(mark.args) > 1:
        extra = ", ".join([*given, *map(repr, mark.args[1:])])
        raise BadInput(f"known_bug({extra}): it takes issue and fixed_in=")
    if not isinstance(issue, str) or not issue.strip():
        raise BadInput(
            f"known_bug(issue={issue!r}): say where it is written up, such as "
            "'https://github.com/kubernetes/kubernetes/issues/123'"
        )
    if not isinstance(fixed_in, str) or (fixed_in and not _numbers(fixed_in)):
        raise BadInput(
            f"known_bug(fixed_in={fixed_in!r}): give a version of Kubernetes, such as "
            "'1.37'"
        )
    return KnownBug(issue=issue, fixed_in=fixed_in)


@contextmanager
def expected(bug: KnownBug, item: pytest.Item) -> Iterator[None]:
    """
    Turn the failure of a block into an expected one, and its success into a failure.

    Whatever is not the fault of the system under test passes through: an inconclusive
    test stays inconclusive, and an error of ours an error.
    """
    try:
        yield
    except KnavAssertionError as error:
        version = _version(item)
        if item.config.option.runxfail:
            raise
        if not bug.excuses(version):
            error.add_note(
                f"known bug {bug.issue} was fixed in Kubernetes {bug.fixed_in}, and "
                f"this is {version}: it is no excuse any more"
            )
            raise
        raise pytest.xfail.Exception(f"{VERDICT} {bug.issue}: {error}") from error
    version = _version(item)
    if bug.excuses(version) and not item.config.option.runxfail:
        pytest.fail(
            f"{VERDICT} {bug.issue}: the test passed"
            f"{' with Kubernetes ' + version if version else ''}: the bug is gone, or "
            "the test does not show it any more: take the mark known_bug off, or say "
            "fixed_in= which version",
            pytrace=False,
        )


def failed_as_expected(call: pytest.CallInfo[None]) -> bool:
    """Return whether a phase of a test ended with the failure of a known bug."""
    return (
        call.excinfo is not None
        and call.excinfo.errisinstance(pytest.xfail.Exception)
        and str(call.excinfo.value).startswith(VERDICT)
    )


def _version(item: pytest.Item) -> str:
    """Return the version of Kubernetes that a test ran on; empty for none."""
    from pytest_knav.session import RECORD  # noqa: PLC0415 - it imports the reports

    record = item.stash.get(RECORD, None)
    return "" if record is None else str(record.versions.get("Kubernetes", ""))


def _numbers(version: str) -> tuple[int, ...]:
    """Return major, minor and patch as far as they are said; empty for no version."""
    found = _VERSION.match(version)
    return tuple(int(n) for n in found.groups() if n is not None) if found else ()
