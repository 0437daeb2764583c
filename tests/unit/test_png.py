"""Pictures as PNG, with words in them, or with a reason why not."""

from __future__ import annotations

import struct
import sys

import pytest

from pytest_knav.errors import BadInput, HarnessError
from pytest_knav.reports import png as drawing
from pytest_knav.reports import timeline
from pytest_knav.selfbench.histories import make_records


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">'
    '<text y="15" font-family="sans-serif">{}</text></svg>'
)


def drawn(svg: str) -> bytes:
    """Return a picture; skip where the machine has nothing to draw words with."""
    pytest.importorskip("resvg_py")
    try:
        return drawing.png(svg)
    except HarnessError as error:
        pytest.skip(str(error))


def test_it_is_twice_as_large() -> None:
    """A picture of 40 by 20 has 80 by 40 points."""
    found = drawn(SVG.format("x"))

    assert found.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", found[16:24]) == (80, 40)


def test_a_large_one_is_drawn_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture has more points than fit into memory."""
    monkeypatch.setattr(drawing, "POINTS_MAX", 200)

    found = drawn(SVG.format("x"))

    assert struct.unpack(">II", found[16:24]) == (20, 10)


def test_words_are_drawn() -> None:
    """Another word is another picture: without a font all would be alike."""
    assert drawn(SVG.format("one")) != drawn(SVG.format("two"))


def test_a_timeline_can_be_drawn() -> None:
    """What the still picture uses, this knows."""
    found = timeline.read_timeline(make_records(3_000, nodes=4, pods=16))

    assert drawn(timeline.still(found)).startswith(b"\x89PNG")


def test_without_a_font_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture without words would look like one of nothing."""
    pytest.importorskip("resvg_py")
    monkeypatch.setattr(drawing, "_SANS", ("No Such Font",))

    with pytest.raises(HarnessError, match="fonts-dejavu-core"):
        drawing.png(SVG.format("x"))


def test_what_is_no_svg() -> None:
    """The reason is that of who draws."""
    drawn(SVG.format("x"))

    with pytest.raises(HarnessError, match="cannot be drawn"):
        drawing.png("<html/>")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)

    with pytest.raises(BadInput, match=r"pip install 'pytest-knav\[png\]'"):
        drawing.png(SVG.format("x"))
