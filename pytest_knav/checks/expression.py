"""
PromQL expressions that belong to a window: read, checked, and bound to a length.

`$window` stands for the length of the window: as a duration in brackets and after
`offset`, elsewhere as a number of seconds.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterator

_WINDOW: Final = re.compile(r"\$window\b")
_AS_DURATION: Final = re.compile(r"(?:[\[:]|\boffset\s*-?)\s*$")
# Two lengths tell how far back an expression reaches for any length: it is linear.
_SAMPLES_S: Final = (1_000.0, 2_000.0)
# What does not look at the value of a counter may read it as it stands.
_VALUELESS: Final = frozenset({
    "absent", "absent_over_time", "changes", "count_over_time", "present_over_time",
    "resets", "timestamp",
})  # fmt: skip
_VALUELESS_AGGREGATES: Final = frozenset({"count", "group"})
COUNTER_SUFFIX: Final = "_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """
    One place where an expression reads series.

    Attributes:
        text: The selector alone, without range and offset.
        name: The metric; empty where a matcher chooses it.
        raw: Whether the value itself is read, where of a counter only the increase
            would mean something.

    """

    text: str
    name: str
    raw: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """
    A PromQL expression that can be judged in a window.

    Attributes:
        text: As it was written.
        selectors: Where it reads series.
        bare: Whether it is one selector and nothing else.
        whole: Whether it looks at the window as a whole, by `$window`.
        reach_s: How far back it looks by durations of its own, in seconds.

    """

    text: str
    selectors: tuple[Selector, ...]
    bare: bool
    whole: bool
    reach_s: float

    def over(self, window_s: float) -> str:
        """Return the expression for a window of a length."""
        return bind(self.text, window_s)


def bind(text: str, window_s: float) -> str:
    """Return a text in which `$window` is a length."""

    def replaced(found: re.Match[str]) -> str:
        if _AS_DURATION.search(text[: found.start()]):
            return f"{round(window_s * 1000)}ms"
        return f"{window_s:.3f}"

    return _WINDOW.sub(replaced, text)


@functools.lru_cache(maxsize=256)
def read_expression(text: str) -> Expression:
    """
    Return a PromQL expression.

    Raises:
        BadInput: It is none, or cannot belong to a window; the message says why.

    """
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"promql={text!r}: give a PromQL expression as text")
    short, long = (_parse(text, bind(text, length_s)) for length_s in _SAMPLES_S)
    _check_result(text, short)
    selectors = tuple(_selectors(short, raw=True))
    if not selectors:
        raise BadInput(f"promql={text!r} reads no metric, so it says nothing")
    reaches = [_reach_s(text, tree) for tree in (short, long)]
    by_window = (reaches[1] - reaches[0]) / (_SAMPLES_S[1] - _SAMPLES_S[0])
    rest_s = reaches[0] - by_window * _SAMPLES_S[0]
    if by_window > 1 or (by_window > 0 and rest_s > 0):
        raise BadInput(
            f"promql={text!r} looks further back than its window, into what other "
            "tests left: an expression is judged at every moment of the window, so "
            "leave the subquery with $window away, or the range within it"
        )
    bare = _is_bare(short)
    if not bare:
        _check_counters(text, selectors)
    return Expression(
        text=text,
        selectors=selectors,
        bare=bare,
        whole=by_window > 0,
        reach_s=rest_s,
    )


def _parse(text: str, bound: str) -> Any:  # noqa: ANN401 - a tree of the parser
    import promql_parser  # noqa: PLC0415 - for tests with thresholds only

    try:
        return promql_parser.parse(bound)
    except ValueError as error:
        raise BadInput(f"promql={text!r} is no PromQL: {error}") from error


def _kind(tree: Any) -> str:  # noqa: ANN401 - as above
    return type(tree).__name__


def _check_result(text: str, tree: Any) -> None:  # noqa: ANN401 - as above
    while _kind(tree) == "ParenExpr":
        tree = tree.expr
    if _kind(tree) in {"MatrixSelector", "SubqueryExpr"}:
        raise BadInput(
            f"promql={text!r} gives a range of samples: wrap it in a function such as "
            "increase(), rate() or max_over_time()"
        )
    if _kind(tree) == "StringLiteral":
        raise BadInput(f"promql={text!r} is a text, not an expression with a value")
    if _kind(tree) == "BinaryExpr" and str(tree.op) in _COMPARISONS:
        modifier = tree.modifier
        if modifier is None or not modifier.return_bool:
            raise BadInput(
                f"promql={text!r} compares by itself, and what does not meet it would "
                "be no data: give the left side alone, and at_most= or at_least="
            )


_COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})


def _children(tree: Any) -> list[Any]:  # noqa: ANN401 - as above
    kind = _kind(tree)
    if kind == "BinaryExpr":
        return [tree.lhs, tree.rhs]
    if kind == "Call":
        return list(tree.args)
    if kind == "AggregateExpr":
        # The parameter is a number, a text, or an expression.
        parameter = [tree.param] if hasattr(tree.param, "prettify") else []
        return [tree.expr, *parameter]
    if kind in {"UnaryExpr", "ParenExpr", "SubqueryExpr"}:
        return [tree.expr]
    if kind == "MatrixSelector":
        return [tree.vector_selector]
    return []


def _reach_s(text: str, tree: Any) -> float:  # noqa: ANN401 - as above
    """Return how many seconds before its own moment an expression looks."""
    inner_s = max((_reach_s(text, child) for child in _children(tree)), default=0.0)
    if getattr(tree, "at", None) is not None:
        raise BadInput(f"promql={text!r}: a check belongs to its window: drop the @")
    offset = getattr(tree, "offset", None)
    offset_s = offset.total_seconds() if offset is not None else 0.0
    if offset_s < 0:
        raise BadInput(
            f"promql={text!r} looks ahead by {-offset_s:g}s, out of its window: "
            "drop the negative offset"
        )
    own = getattr(tree, "range", None)
    return inner_s + offset_s + (own.total_seconds() if own is not None else 0.0)


def _selectors(tree: Any, *, raw: bool) -> Iterator[Selector]:  # noqa: ANN401 - as above
    kind = _kind(tree)
    if kind == "VectorSelector":
        yield _selector(tree, raw=raw)
        return
    if kind == "Call":
        raw = raw and tree.func.name not in _VALUELESS
    if kind == "AggregateExpr":
        raw = raw and str(tree.op) not in _VALUELESS_AGGREGATES
    # Of a range, rate() and its kin take the increase: what they get is not raw.
    raw = raw and kind != "MatrixSelector"
    for child in _children(tree):
        yield from _selectors(child, raw=raw)


def _selector(tree: Any, *, raw: bool) -> Selector:  # noqa: ANN401 - as above
    groups = [tree.matchers.matchers, *tree.matchers.or_matchers]
    texts = [",".join(str(m) for m in group) for group in groups if group]
    inside = " or ".join(texts)
    name = tree.name or ""
    return Selector(text=f"{name}{{{inside}}}" if inside else name, name=name, raw=raw)


def _is_bare(tree: Any) -> bool:  # noqa: ANN401 - as above
    while _kind(tree) == "ParenExpr":
        tree = tree.expr
    return _kind(tree) == "VectorSelector" and tree.offset is None


def _check_counters(text: str, selectors: tuple[Selector, ...]) -> None:
    for selector in selectors:
        if selector.raw and selector.name.endswith(COUNTER_SUFFIX):
            raise BadInput(counter_read_raw(text, selector.name))


def counter_read_raw(text: str, name: str) -> str:
    """Return why an expression cannot be judged that takes a counter by its value."""
    return (
        f"promql={text!r} takes the counter {name} by its value, which holds what "
        f"earlier tests left: write increase({name}[$window]), or give the counter "
        "alone: its increase in the window is judged then"
    )
