"""Colours and marks: each state has a shape as well, for eyes that see no red."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.topology.picture.texts import FONT_FAMILY


if TYPE_CHECKING:
    from collections.abc import Callable

# Okabe and Ito's palette for colour-blind readers, without its vermilion: that one is
# kept for what is broken. Light and dark background.
_WORKLOADS: Final = (
    ("#0072b2", "#4ba3dc"),
    ("#e69f00", "#f0b429"),
    ("#009e73", "#2fc79a"),
    ("#cc79a7", "#dd94bd"),
    ("#56b4e9", "#8fd0f5"),
    ("#8a7a00", "#e6d84a"),
    ("#7455b8", "#a48be0"),
    ("#7a5c3e", "#c2a07c"),
)
WORKLOADS_MAX: Final = 2 * len(_WORKLOADS)
OTHERS: Final = "wo"
_BROKEN: Final = ("#c4320a", "#ff7a52")

# Selector: properties that are the same in both, then colours as (light, dark).
_RULES: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "text": ("", {"fill": ("#1f2328", "#e6e8eb")}),
    ".d": ("", {"fill": ("#59636e", "#9da7b3")}),
    ".bg": ("", {"fill": ("#ffffff", "#16181d")}),
    ".g": (
        "stroke-width:1",
        {"fill": ("#f6f8fa", "#1e2128"), "stroke": ("#c3cad3", "#414853")},
    ),
    ".r": (
        "stroke-width:1",
        {"fill": ("#eceff3", "#272b34"), "stroke": ("#9aa4b0", "#5a6270")},
    ),
    # A rack with something broken: seen from afar, where a node is a few pixels.
    ".rb": (
        "stroke-width:2",
        {"fill": ("#fdeae3", "#33211c"), "stroke": _BROKEN},
    ),
    ".n": (
        "stroke-width:.8",
        {"fill": ("#ffffff", "#16181d"), "stroke": ("#9aa4b0", "#5a6270")},
    ),
    ".nb": ("stroke-width:2", {"stroke": _BROKEN}),
    ".nu": ("stroke-width:2;stroke-dasharray:4 2", {"stroke": _BROKEN}),
    ".ng": ("opacity:.45;stroke-dasharray:1.5 2", {}),
    ".s": (
        "stroke-width:.8",
        {"fill": ("#dde7f2", "#2b3a4d"), "stroke": ("#7c93ad", "#7189a6")},
    ),
    ".sp": ("stroke-width:1.6;stroke-dasharray:4 2", {"stroke": _BROKEN}),
    ".sd": (
        "stroke-width:2",
        {"fill": ("#fbe1d8", "#4a2418"), "stroke": _BROKEN},
    ),
    ".l": ("fill:none;stroke-width:1.6", {"stroke": ("#7c93ad", "#7189a6")}),
    ".f": (
        "stroke-width:.7",
        {"fill": ("#f3f5f7", "#20242b"), "stroke": ("#aab3bd", "#5a6270")},
    ),
    ".x": (
        "stroke-width:1.5",
        {"fill": ("#fbe1d8", "#4a2418"), "stroke": _BROKEN},
    ),
    ".m": ("fill:none;stroke-width:1.6", {"stroke": _BROKEN}),
    ".mc": ("fill:none;stroke-width:1.4", {"stroke": ("#59636e", "#9da7b3")}),
    ".hb": ("stroke:none", {"fill": _BROKEN}),
    f".{OTHERS}": ("", {"fill": ("#8b949e", "#8b949e")}),
    **{
        f".w{number}": ("", {"fill": colours})
        for number, colours in enumerate(_WORKLOADS)
    },
}


def css() -> str:
    """Return the style sheet, for light and for dark surroundings."""
    light = "".join(_rule(selector, 0) for selector in _RULES)
    dark = "".join(_rule(selector, 1) for selector in _RULES if _RULES[selector][1])
    return (
        f"text{{font-family:{FONT_FAMILY}}}{light}"
        f"@media (prefers-color-scheme:dark){{{dark}}}"
    )


def _rule(selector: str, which: int) -> str:
    same, colours = _RULES[selector]
    parts = [same] if same and not which else []
    parts += [f"{name}:{pair[which]}" for name, pair in colours.items()]
    return f"{selector}{{{';'.join(parts)}}}"


def workload_class(number: int) -> str:
    """Return the class of the workload of a rank; those beyond have one together."""
    return OTHERS if number >= WORKLOADS_MAX else f"w{number % len(_WORKLOADS)}"


def workload_shape(number: int) -> Callable[[float, float], str]:
    """Return how a GPU of the workload of a rank is drawn, besides its colour."""
    if number >= WORKLOADS_MAX:
        return _dot
    # The second workload of a colour has another shape than the first.
    turn = number // len(_WORKLOADS)
    return _SHAPES[(number + turn) % len(_SHAPES)]


def square(x: float, y: float) -> str:
    """Return a whole GPU."""
    return f"M{x:g} {y:g}h10v10h-10z"


def crossed(x: float, y: float) -> str:
    """Return a GPU that has failed."""
    return f"M{x:g} {y:g}h10v10h-10zl10 10m0-10l-10 10"


def _holed(x: float, y: float) -> str:
    return f"M{x:g} {y:g}h10v10h-10zm3 3v4h4v-4z"


def _bars(x: float, y: float) -> str:
    return f"M{x:g} {y:g}h10v4h-10zm0 6h10v4h-10z"


def _columns(x: float, y: float) -> str:
    return f"M{x:g} {y:g}h4v10h-4zm6 0h4v10h-4z"


def _dot(x: float, y: float) -> str:
    return f"M{x + 5:g} {y:g}l5 5l-5 5l-5-5z"


_SHAPES: Final = (square, _holed, _bars, _columns)
# Nine units square, from the left upper corner of where a node's mark stands.
MARKS: Final = {
    "broken": '<path class="hb" d="M5 0L1 5h2.5L2.5 9L7.5 3.5H4.8z"/>',
    "not ready": '<path class="m" d="M1 1l7 7M8 1l-7 7"/>',
    "unknown": '<path class="m" d="M2 3.2a2.5 2.5 0 1 1 3.6 2.2q-1.1.5-1.1 1.4'
    'M4.5 7.9v1.1"/>',
    "gone": '<path class="m" d="M1 4.5h7"/>',
    "cordoned": '<path class="mc" d="M1.2 4.5a3.3 3.3 0 1 0 6.6 0a3.3 3.3 0 1 0-6.6 0'
    'M2.2 6.8l4.6-4.6"/>',
}
