"""Durations at the edge: seconds as numbers, or texts with units."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45s", 45.0), ("1m30s", 90.0), ("250ms", 0.25), ("2h", 7200.0), ("1.5m", 90.0)],
)
def test_texts_with_units_are_seconds(text: str, expected: float) -> None:
    """Parts add up."""
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "value", ["", "5", "s", "5 s", "-5s", "5s!", -1, float("nan"), float("inf"), True]
)
def test_what_is_no_duration_is_refused_with_its_value(value: Any) -> None:
    """The message shows the value, the name of the argument, and what to write."""
    with pytest.raises(BadInput) as error:
        seconds(value, name="within")

    assert f"within={value!r}" in str(error.value)
    assert '"45s"' in str(error.value)


@given(st.floats(min_value=0, max_value=1e9))
def test_numbers_stay_as_they_are(value: float) -> None:
    """A number is a number of seconds."""
    assert seconds(value) == value
