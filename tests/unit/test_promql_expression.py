"""PromQL expressions: what belongs to a window, and what is refused before a test."""

from __future__ import annotations

import pytest

from pytest_knav.checks.expression import bind, read_expression
from pytest_knav.errors import BadInput


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("increase(x[$window])", "increase(x[37400ms])"),
        ("increase(x[ $window ])", "increase(x[ 37400ms ])"),
        ("max_over_time(x[$window:1s])", "max_over_time(x[37400ms:1s])"),
        ("x offset $window", "x offset 37400ms"),
        ("x offset -$window", "x offset -37400ms"),
        ("increase(x[$window]) / $window", "increase(x[37400ms]) / 37.400"),
        ('x{a="$windows"}', 'x{a="$windows"}'),
    ],
)
def test_window_is_a_duration_or_a_number(text: str, bound: str) -> None:
    """In brackets and after offset it is a duration, elsewhere a number of seconds."""
    assert bind(text, 37.4) == bound


@pytest.mark.parametrize(
    ("text", "whole", "reach_s"),
    [
        ("x", False, 0),
        ("max(x)", False, 0),
        ("rate(x[5s])", False, 5),
        ("rate(x[5s] offset 3s)", False, 8),
        ("max_over_time(rate(x[5s])[20s:1s])", False, 25),
        ("max_over_time(rate(x[5s])[20s:1s] offset 4s)", False, 29),
        ("rate(x[5s]) / rate(y[7s])", False, 7),
        ("increase(x[$window])", True, 0),
        ("sum(increase(x[$window])) / $window", True, 0),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5s])))", False, 5),
    ],
)
def test_how_far_back_it_looks(text: str, *, whole: bool, reach_s: float) -> None:
    """Ranges, offsets and subqueries add up along the way to the series."""
    expression = read_expression(text)

    assert (expression.whole, expression.reach_s) == (whole, pytest.approx(reach_s))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sum(x", "unclosed left parenthesis"),
        ("rate(x)", "expected type matrix"),
        ("foo(x)", "unknown function"),
        ("increase(x[$range])", "is no PromQL"),
        ("", "give a PromQL expression"),
        ("1", "reads no metric"),
        ("vector(1)", "reads no metric"),
        ("'x'", "is a text"),
        ("x[5m]", "wrap it in a function"),
        ("x > 3", "give the left side alone"),
        ("(sum(x) == 0)", "give the left side alone"),
        ("x @ 12", "drop the @"),
        ("x offset -5s", "looks ahead by 5s"),
        ("max_over_time(rate(x[5s])[$window:1s])", "further back than its window"),
        ("increase(x[$window] offset $window)", "further back than its window"),
        ("sum(x_total)", r"increase\(x_total\[\$window\]\)"),
        ("x_total or vector(0)", "takes the counter x_total by its value"),
        ("x_total offset 3s", "takes the counter x_total by its value"),
    ],
)
def test_what_cannot_be_judged_is_refused(text: str, says: str) -> None:
    """The message shows the expression and says what to write instead."""
    with pytest.raises(BadInput, match=says) as error:
        read_expression(text)

    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "x_total",
        "(x_total)",
        "count(x_total)",
        "absent(x_total)",
        "sum(increase(x_total[$window])) or vector(0)",
        "sum(rate(x_total[5s])) by (job)",
        "x > bool 3",
        "timestamp(x_total)",
    ],
)
def test_what_can_be_judged_is_taken(text: str) -> None:
    """A counter alone, and where its value is not looked at, is fine."""
    assert read_expression(text).text == text


def test_selectors_are_told_without_range_and_offset() -> None:
    """They are asked for in the window by themselves."""
    text = 'rate(x{a="b",c=~"d|e"}[5s] offset 3s) / on (j) {__name__="y"}'

    found = read_expression(text).selectors

    assert [one.text for one in found] == ['x{a="b",c=~"d|e"}', '{__name__="y"}']
    assert [one.raw for one in found] == [False, True]
