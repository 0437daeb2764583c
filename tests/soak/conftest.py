"""What is long: outside `make test`. The table of a run is kept in docs/soak.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = Path(".knav/soak.md")
ROWS: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return what adds a row to the table: what was done, how often, what came."""
    rows = request.config.stash.setdefault(ROWS, [])

    def add(*cells: object) -> None:
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")

    return add


def pytest_itemcollected(item: pytest.Item) -> None:
    """Take the mark `chaos` off again: these are no suites."""
    item.own_markers = [m for m in item.own_markers if m.name != "chaos"]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print and keep the table."""
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    lines = ["| what | how often | result |", "|---|---|---|", *rows]
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join([*lines, ""]))
    terminalreporter.section(f"soak; also in {TABLE}", sep="-")
    for line in lines:
        terminalreporter.write_line(line)
