"""Profiles of a recorded trace: a CSV file with a column of times and one of values."""

from __future__ import annotations

import bisect
import csv
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.utilization.profiles import Profile, noise_of


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Unit = Literal["percent", "cores", "bytes"]
UNITS: Final = ("percent", "cores", "bytes")
# Some eleven days of one point a second.
ROWS_MAX: Final = 1_000_000
# A pause of so many usual intervals is a gap: nobody knows what was then.
_GAP_INTERVALS: Final = 3
_GAPS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trace(Profile):
    times_s: tuple[float, ...] = field(repr=False)
    values: tuple[float, ...] = field(repr=False)
    repeat: bool

    def clean_at(self, t_s: float) -> float:
        last_s = self.times_s[-1]
        if self.repeat and last_s:
            t_s %= last_s
        right = bisect.bisect_right(self.times_s, t_s)
        if right == len(self.times_s):
            return self.values[-1]
        before_s, after_s = self.times_s[right - 1], self.times_s[right]
        part = (t_s - before_s) / (after_s - before_s)
        return self.values[right - 1] * (1 - part) + self.values[right] * part

    @property
    def highest(self) -> float:
        return max(self.values)


def replay(  # noqa: PLR0913 - all but the file by name
    path: str | Path,
    *,
    column: str,
    time: str = "time",
    unit: Unit = "percent",
    max_gap: Duration | None = None,
    repeat: bool = False,
    noise: float = 0.0,
) -> Profile:
    """
    Return what a CSV file holds; between two rows, on the straight line.

    Args:
        path: The file; its first line names the columns.
        column: Which one holds the values.
        time: Which one holds the times: seconds, or ISO 8601. The first is the begin.
        unit: What the values are: `percent` (of what a pod requests, or of a GPU),
            `cores` or `bytes`.
        max_gap: The longest time between two rows; by default three times the usual.
        repeat: Whether it begins anew at its end; else the last value stays.
        noise: How far a value may be off by chance, from 0 to 1.

    Raises:
        BadInput: The file is not such a trace; the message names the lines.

    """
    if unit not in UNITS:
        raise BadInput(f"replay(unit={unit!r}): use one of {', '.join(UNITS)}")
    rows = list(_rows(Path(path), time, column))
    if not rows:
        raise BadInput(f"trace {path}: it has no rows")
    _check_times(Path(path), rows, max_gap)
    began_s = rows[0].time_s
    return _Trace(
        times_s=tuple(row.time_s - began_s for row in rows),
        values=tuple(row.value for row in rows),
        repeat=repeat,
        share=unit == "percent",
        noise=noise_of("replay", noise),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    time_s: float
    value: float


def _rows(path: Path, time: str, column: str) -> Iterator[_Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            known = reader.fieldnames or ()
            for name in (time, column):
                if name not in known:
                    raise BadInput(
                        f"trace {path} has no column {name!r}: use one of "
                        f"{', '.join(known) or 'none: it is empty'}"
                    )
            for row in reader:
                line = reader.line_num
                if line > ROWS_MAX:
                    raise BadInput(f"trace {path} has more than {ROWS_MAX} lines")
                yield _Row(
                    line, _time(path, line, row, time), _value(path, line, row, column)
                )
    except OSError as error:
        raise BadInput(f"trace {path} cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadInput(f"trace {path} is no CSV file: {error}") from error


def _value(path: Path, line: int, row: Mapping[str, str | None], name: str) -> float:
    text = (row[name] or "").strip()
    if not text:
        raise BadInput(f"trace {path}, line {line}: no value in column {name!r}")
    found = _number(text)
    if found is None:
        raise BadInput(f"trace {path}, line {line}: {name} {text!r} is no number")
    if found < 0:
        raise BadInput(
            f"trace {path}, line {line}: {name} {text!r}: a load cannot be negative"
        )
    return found


def _time(path: Path, line: int, row: Mapping[str, str | None], name: str) -> float:
    text = (row[name] or "").strip()
    found = _number(text)
    if found is not None:
        return found
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(
            f"trace {path}, line {line}: {name} {text!r} is no time: give seconds, "
            "or ISO 8601 such as 2026-03-01T12:00:00Z"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _check_times(path: Path, rows: list[_Row], max_gap: Duration | None) -> None:
    pairs = list(pairwise(rows))
    for before, after in pairs:
        if after.time_s <= before.time_s:
            raise BadInput(
                f"trace {path}, line {after.line}: its time is not after that of line "
                f"{before.line}: sort the trace by time"
            )
    if not pairs:
        return
    if max_gap is not None:
        limit_s = seconds(max_gap, name="replay(max_gap)")
    else:
        usual_s = median(after.time_s - before.time_s for before, after in pairs)
        limit_s = _GAP_INTERVALS * usual_s
    gaps = [(b, a) for b, a in pairs if a.time_s - b.time_s > limit_s]
    if gaps:
        shown = ", ".join(
            f"{b.line}-{a.line} ({a.time_s - b.time_s:g}s)"
            for b, a in gaps[:_GAPS_SHOWN]
        )
        left = len(gaps) - _GAPS_SHOWN
        more = f" and {left} more" if left > 0 else ""
        raise BadInput(
            f"trace {path}: gaps between lines {shown}{more}: more than {limit_s:g}s; "
            'fill them, or allow them with max_gap="…"'
        )
