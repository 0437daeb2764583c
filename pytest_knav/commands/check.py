"""``knav check``: judges a stored run again, without a cluster."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pytest_knav.errors import BadInput, HarnessError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_knav.checks.standing import Asked
    from pytest_knav.checks.verdict import Verdict
    from pytest_knav.history import History

EXIT_FAILED: Final = 1
EXIT_INCONCLUSIVE: Final = 10
# No run of a test has more; a bound all the same.
_RECORDS_MAX: Final = 10_000_000
_BYTES_MAX: Final = 16 * 2**30
# Most of a history, and no check looks at them unless it is a user's own.
_UNREAD: Final = frozenset({"Lease", "Event"})


def check(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run, the directory of one test in it, or its history; "
            ".knav/runs/latest is the last run."
        ),
    ],
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--check",
            metavar="NAME[=LIMIT]",
            help="Judge this invariant alone, such as gang or gang=10s; repeatable. "
            "Default: those that the run was held to, with their limits.",
        ),
    ] = None,
    own: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="MODULE:FUNCTION",
            help="Judge by a function of yours as well: it gets the History and "
            "returns a Verdict, or several; repeatable.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdicts as JSON.")
    ] = False,
) -> None:
    """
    Judge a stored run again: no cluster is needed, and nothing is changed.

    Exit code 0: everything holds; 1: something was broken; 10: nothing was broken, but
    something could not be told; 2: the command was given something wrong.
    """
    asked = _asked(only or [])
    functions = [_function(text) for text in own or []]
    # A run made only to be judged by a user's own check needs no other.
    judged = [
        (name, verdict)
        for name, directory in _histories(run)
        for verdict in _judge(directory, asked, functions)
    ]
    if as_json:
        rows = [{"test": test, **verdict} for test, verdict in judged]
        typer.echo(json.dumps(rows, indent=2))
    else:
        for line in _lines(judged):
            typer.echo(line)
    found = {verdict["status"] for _, verdict in judged}
    if "fail" in found:
        raise typer.Exit(EXIT_FAILED)
    if "inconclusive" in found:
        raise typer.Exit(EXIT_INCONCLUSIVE)


def _asked(only: list[str]) -> Asked | None:
    """Return what the options ask for; None: what the run was held to."""
    from pytest_knav.checks.standing import named  # noqa: PLC0415 - needs a history

    if not only:
        return None
    asked: Asked = {}
    for text in only:
        name, equals, limit = text.partition("=")
        invariant = named(name)
        asked[name] = invariant.limit(_number(limit)) if equals else None
    return asked


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _histories(run: Path) -> list[tuple[str, Path]]:
    """
    Return the histories of a run, each with the name of its directory.

    Raises:
        BadInput: There is none.

    """
    if not run.is_dir():
        raise BadInput(f"{run} is no directory: give a run, such as .knav/runs/latest")
    places = (run, run / "history", *sorted(run.glob("*/history")))
    found = [place for place in places if any(place.glob("history-*.jsonl.gz"))]
    if not found:
        raise BadInput(
            f"{run} holds no history: tests that passed leave none by default, run "
            "them with --knav-keep=always"
        )
    return [((p.parent if p.name == "history" else p).name, p) for p in found]


def _judge(
    directory: Path,
    asked: Asked | None,
    functions: list[Callable[[History], Any]],
) -> Iterator[dict[str, Any]]:
    from pytest_knav.checks import standing  # noqa: PLC0415 - as above

    history = _load(directory, whole=bool(functions))
    before, until_s = standing.judged_before(history)
    findings = standing.judge_standing(history, asked or before, until_s=until_s)
    for found in findings:
        if asked is not None:
            yield {"invariant": found.name, **found.as_asked().as_data()}
        elif found.looked_at:
            yield {"invariant": found.name, **found.verdict.as_data()}
    for function in functions:
        for verdict in _verdicts(function, history):
            yield {"invariant": function.__name__, **verdict.as_data()}


def _load(directory: Path, *, whole: bool) -> History:
    from pytest_knav.history import History, read_history  # noqa: PLC0415 - as above

    history = History(max_records=_RECORDS_MAX, max_bytes=_BYTES_MAX)
    stored = read_history(directory)
    for record in stored:
        if whole or record.kind not in _UNREAD:
            history.add(record)
    history.cut = stored.truncated
    return history


def _function(text: str) -> Callable[[History], Any]:
    """
    Return a user's own check.

    Raises:
        BadInput: There is no such module or function.

    """
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise BadInput(
            f"--with {text!r}: give MODULE:FUNCTION, such as checks:no_lemon"
        )
    if str(Path.cwd()) not in sys.path:
        # As `python -m` does: a check of one's own lies beside the tests.
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise BadInput(f"--with {text!r}: {error}") from error
    if not callable(found):
        raise BadInput(f"--with {text!r}: {module} has no function {name!r}")
    function: Callable[[History], Any] = found
    return function


def _verdicts(
    function: Callable[[History], Any], history: History
) -> Iterable[Verdict]:
    from pytest_knav.checks.verdict import Verdict  # noqa: PLC0415 - as above

    found = function(history)
    verdicts = [found] if isinstance(found, Verdict) else found
    if not isinstance(verdicts, Iterable):
        verdicts = [verdicts]
    verdicts = list(verdicts)
    for verdict in verdicts:
        if not isinstance(verdict, Verdict):
            raise HarnessError(
                f"{function.__name__} returned {verdict!r:.80}: it has to return a "
                "Verdict of pytest_knav.checks, or several"
            )
    return verdicts


def _lines(judged: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    shown = ""
    for test, verdict in judged:
        if test != shown:
            yield f"{os.linesep * bool(shown)}{test}"
            shown = test
        yield f"  {verdict['status']:<12}  {verdict['check']}"
        if verdict["status"] != "pass":
            for line in (*verdict["reasons"], *verdict["evidence"]):
                yield f"                {line}"
    counts = [sum(v["status"] == s for _, v in judged) for s in _STATUSES]
    yield ", ".join(f"{n} {s}" for n, s in zip(counts, _STATUSES, strict=True))


_STATUSES: Final = ("pass", "fail", "inconclusive")
