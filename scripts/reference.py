"""
Write the pages of docs/reference that come from tables in the code.

`--check` writes nothing and fails when a page is not what the code says.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_knav.commands.faults import known
from pytest_knav.control_plane.profiles import fast_profile, real_profile
from pytest_knav.control_plane.speed import MEASURED_ON, SETTINGS
from pytest_knav.control_plane.state.table import MEANINGS, REST, ROWS
from pytest_knav.options import OPTIONS
from pytest_knav.topology import PRESETS, make_topology


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_knav.faults import Fault

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code; change it there. -->"
SIZES = (32, 200, 1000)


def options() -> str:
    """Return the page of the plugin's options."""
    rows = [
        (
            f"`{option.flag} {_cell(option.metavar)}`",
            f"`{option.variable}`",
            f"`{option.ini}`",
            _cell(option.allowed),
            f"`{option.default}`" if option.default else "",
            _cell(option.help),
        )
        for option in OPTIONS
    ]
    header = ("Flag", "Environment", "ini", "Takes", "Default", "What it does")
    return _page(
        "Options",
        "Each option can be given in three ways. The command line wins over the "
        "environment, that over the ini file (`[tool.pytest]`, `pytest.ini`), that "
        "over the default. What was given is shown in the header of the run.",
        _table(header, rows),
    )


def faults() -> str:
    """Return the page of the faults."""
    parts = [_one_fault(name, fault) for name, fault in known().items()]
    return _page(
        "Faults",
        "Every fault says what it changes, what real failure it stands for, what a "
        "green test with it certifies, and what it does not. `knav faults show NAME` "
        "prints the same. All of them are imported from `pytest_knav.faults`.",
        *parts,
    )


def _one_fault(name: str, fault: type[Fault]) -> str:
    card = fault.card
    lines, arguments = (inspect.getdoc(fault) or "").partition("\nArgs:\n")[::2]
    facts = [
        ("Family, layer", f"{card.family}, {card.layer}"),
        ("Signals", ", ".join(card.signals)),
        ("Stands for", card.stands_for),
        ("Certifies", card.certifies),
        ("Does not certify", card.does_not_certify),
    ]
    # What the docstring says of these two stands in the table.
    prose = [
        paragraph
        for paragraph in lines.strip().split("\n\n")
        if not paragraph.startswith(("Stands for:", "Does not certify:"))
    ]
    given = [f"    {line.strip()}" for line in arguments.strip().splitlines()]
    blocks = [f"## {name}", *prose, _table(("", ""), facts)]
    if given:
        blocks += ["Arguments:", "\n".join(given)]
    return "\n\n".join(blocks)


def topologies() -> str:
    """Return the page of the topologies."""
    parts = []
    for name in sorted(PRESETS):
        made = make_topology(name)
        node = made.nodes[0]
        per_node = f"{node.gpus} `{node.gpu_resource}`, {node.cpus} cpu, "
        facts = [
            ("Source", made.source),
            ("Nodes", f"{len(made.nodes)}, or any number that is asked for"),
            ("Nodes in a rack", str(len(made.racks[0].nodes))),
            ("A node has", f"{per_node}{node.memory_gib} GiB, {node.pods} pods"),
        ]
        labels = [(f"`{key}`", f"`{value}`") for key, value in node.labels]
        parts += [
            f"## {name}",
            _table(("", ""), facts),
            f"The labels of its first node, `{node.name}`:",
            _table(("Label", "Value"), labels),
        ]
    return _page(
        "Topologies",
        "What can be simulated. Ask for one with the mark "
        '`knav(topology="…", nodes=…)`, with `--knav-topology` and `--knav-nodes`, or '
        "with `knav cluster up`. `knav topology show NAME` prints the same.",
        *parts,
    )


def time_profiles() -> str:
    """Return the page of the time profiles."""
    fast = [fast_profile(nodes) for nodes in SIZES]
    rows = [
        (name, *values)
        for (name, *values) in (
            (row[0], row[1], *(p.table()[i][2] for p in fast))
            for i, row in enumerate(fast[0].table())
        )
    ]
    sums = [real_profile(), *fast]
    rows.append(
        ("**last renewal to Ready=Unknown, at most**",
         *(f"{profile.detection_s:g}s" for profile in sums))
    )  # fmt: skip
    rows.append(
        ("**last renewal to eviction, at most**",
         *(f"{profile.eviction_s:g}s" for profile in sums))
    )  # fmt: skip
    header = ("Setting", "`real`", *(f"`fast`, {n} nodes" for n in SIZES))
    return _page(
        "Time profiles",
        "How fast the control plane notices a failure. `real` are the defaults of "
        "Kubernetes 1.36; `fast` compresses what flags can reach, and says so in every "
        "report. What no flag reaches is the same in both. A lease of the `fast` "
        "profile grows with the cluster, because each renewal is a write.",
        _table(header, rows),
    )


def state() -> str:
    """Return the page of what a restore does to each key."""
    rows = [
        (keys if row is REST else f"`{keys}`", row.reset, row.transplant, row.why)
        for row in (*ROWS, REST)
        for keys in row.keys
    ]
    header = ("Keys below `/registry/`", "Reset", "Transplant", "Why")
    words = [(f"*{word}*", _cell(meaning)) for word, meaning in MEANINGS.items()]
    return _page(
        "State: what a restore does to each key",
        "`cluster.save()` and `knav cluster save` keep every key of the cluster's "
        "store; `cluster.restore(state)` and the reset between two tests put them "
        "back through etcd while the API server stays up. A *reset* is of the cluster "
        "that the state was taken from, a *transplant* of another one with the same "
        "control-plane key (versions, feature gates, time profile, settings).",
        _table(header, rows),
        "What the words mean:",
        _table(("", ""), words),
        "Around the write kube-controller-manager and kube-scheduler are ended and "
        "started afresh, because their memory is state too; KWOK is held and goes on, "
        "because a new KWOK waits for the leases of the old one. Only keys that differ "
        "are written. It is done when the API server's caches have caught up.",
        "Times are not moved: a Job whose `activeDeadlineSeconds` has passed since the "
        "state was saved fails when it is restored, and a `pytest-knav/run-for` of a "
        "running pod begins anew.",
    )


def control_planes() -> str:
    """Return the page of what the fast control plane is faster by."""
    rows = [
        (one.component, _cell(one.plain), _cell(one.fast), one.measured, one.harmless)
        for one in SETTINGS
    ]
    header = ("Component", "`plain`", "`fast`", "Measured", "Why it is harmless")
    return _page(
        "Control planes: plain and fast",
        "`--knav-control-plane plain` is what kwokctl starts by itself; `fast`, the "
        "default, has the settings of this table on top. Reports name which one it "
        "was. Both run kube-controller-manager and kube-scheduler without leader "
        "election, so that a restart takes half a second instead of sixteen.",
        _table(header, rows),
        MEASURED_ON,
    )


PAGES = {
    "control-planes.md": control_planes,
    "state.md": state,
    "options.md": options,
    "faults.md": faults,
    "topologies.md": topologies,
    "time-profiles.md": time_profiles,
}


def stale() -> list[str]:
    """Return the names of pages that are not what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text() != page()
    ]


def main() -> int:
    """Write or check every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    if parser.parse_args().check:
        old = stale()
        if old:
            print(f"not what the code says: {', '.join(old)}; run make docs")
        return bool(old)
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())
    return 0


def _page(title: str, intro: str, *blocks: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, intro, *blocks]) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
