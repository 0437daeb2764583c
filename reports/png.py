"""Pictures as PNG, for what shows no SVG: a chat, a ticket, a pull request."""

from __future__ import annotations

import math
import re
from typing import Final

from pytest_knav.errors import BadInput, HarnessError


# Twice the size of the SVG, as screens with a high resolution show it, if that is no
# more than this many points: each of them takes four bytes while it is drawn.
_ZOOM: Final = 2.0
POINTS_MAX: Final = 40e6
_SIZE: Final = re.compile(r'<svg\b[^>]*?\bwidth="([\d.]+)"[^>]*?\bheight="([\d.]+)"')
_WHITE: Final = "#ffffff"
_PROBE: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    '<text y="9" font-family="{}">{}</text></svg>'
)
# What is drawn for `sans-serif` and for `monospace`: the first that the machine has.
_SANS: Final = (
    "DejaVu Sans", "Noto Sans", "Liberation Sans", "Arial", "Helvetica", "Roboto",
    "Ubuntu", "Cantarell", "FreeSans",
)  # fmt: skip
_MONO: Final = (
    "DejaVu Sans Mono", "Noto Sans Mono", "Liberation Mono", "Courier New", "Menlo",
    "Roboto Mono", "Ubuntu Mono", "FreeMono",
)  # fmt: skip


def check_png() -> None:
    """
    Return when pictures can be drawn as PNG.

    Raises:
        BadInput: What draws them is not installed.

    """
    try:
        import resvg_py  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise BadInput(
            "PNG: what draws it is not installed: "
            "python -m pip install 'pytest-knav[png]'"
        ) from error


def png(svg: str) -> bytes:
    """
    Return a picture as PNG, in its light colours on white, twice as large if that is
    at most `POINTS_MAX`.

    Raises:
        BadInput: What draws it is not installed.
        HarnessError: There is no font on this machine, or it is no SVG.

    """
    check_png()
    sans = next(filter(_has, _SANS), "")
    if not sans:
        raise HarnessError(
            "PNG: there is no font on this machine that is known here, and a picture "
            f"without words says nothing: install one of {', '.join(_SANS)}, such as "
            "by the package fonts-dejavu-core, or take the SVG"
        )
    return _drawn(svg, sans, next(filter(_has, _MONO), sans))


def _has(family: str) -> bool:
    """Return whether there is such a font: without it no text is drawn at all."""
    return _drawn(_PROBE.format(family, "M")) != _drawn(_PROBE.format(family, ""))


def _drawn(svg: str, sans: str | None = None, mono: str | None = None) -> bytes:
    import resvg_py  # noqa: PLC0415 - an extra

    try:
        return resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=_zoom(svg),
            background=_WHITE,
            sans_serif_family=sans,
            monospace_family=mono,
        )
    except ValueError as error:
        raise HarnessError(f"PNG: the picture cannot be drawn: {error}") from error


def _zoom(svg: str) -> float:
    size = _SIZE.search(svg)
    if size is None:
        return 1.0
    area = max(1.0, float(size[1]) * float(size[2]))
    return min(_ZOOM, math.sqrt(POINTS_MAX / area))
