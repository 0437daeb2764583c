"""
Write the pages of docs/reference that come from tables in the code.

`--check` writes nothing and fails when a page is not what the code says.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pictures
import yaml

from pytest_knav import Gang, Job, System
from pytest_knav.control_plane.profiles import fast_profile, real_profile
from pytest_knav.control_plane.speed import MEASURED_ON, SETTINGS
from pytest_knav.control_plane.state.table import MEANINGS, REST, ROWS
from pytest_knav.faults.catalogue import catalogue
from pytest_knav.options import OPTIONS
from pytest_knav.systems.dialects import dressed
from pytest_knav.topology import PRESETS, GpuModel, Level, make_topology
from pytest_knav.topology.dialects import DIALECTS, labelled
from pytest_knav.topology.presets import MAX_NODES
from pytest_knav.workloads.render import render


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_knav.faults import Fault
    from pytest_knav.topology import Machine, NodeSpec, Topology
    from pytest_knav.topology.dialects import Dialect

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code; change it there. -->"
SIZES = (32, 200, 1000)


def options() -> str:
    """Return the page of the plugin's options."""
    rows = [
        (
            f"`{f'{option.flag} {_cell(option.metavar)}'.strip()}`",
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
    parts = [_one_fault(name, fault) for name, fault in catalogue().items()]
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
        ("Known from", card.source),
        ("Lasts", card.lasts),
        ("Taken back", card.undone),
        ("Certifies", card.certifies),
        ("Does not certify", card.does_not_certify),
    ]
    prose = lines.strip().split("\n\n")
    given = [f"    {line.strip()}" for line in arguments.strip().splitlines()]
    blocks = [f"## {name}", *prose, _table(("", ""), facts)]
    if given:
        blocks += ["Arguments:", "\n".join(given)]
    return "\n\n".join(blocks)


def topologies() -> str:
    """Return the page of the topologies."""
    parts = []
    for name, preset in sorted(PRESETS.items()):
        made = make_topology(name)
        node = made.nodes[0]
        switches = Counter(switch.level.value for switch in made.switches)
        facts = [
            ("What it is", preset.title),
            ("Source", made.source),
            *(("Assumed", note) for note in made.notes),
            ("Nodes", f"{len(made.nodes)}, or any number from 1 to {MAX_NODES:,}"),
            ("Places", ", ".join(_places(made, level) for level in made.levels)),
            ("Switches", ", ".join(f"{n} {level}" for level, n in switches.items())),
            *((f"A `{m.name}` has", _machine(m)) for m in made.machines),
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
        "with `knav cluster up`. In place of a name, each of them takes the path of a "
        "file: see [topologies](../explanation/topologies.md). Numbers of places and "
        "switches are those of the size that is there by default.",
        *parts,
    )


def _places(topology: Topology, level: Level) -> str:
    sizes = [len(nodes) for nodes in topology.places(level).values()]
    return f"{len(sizes)} {level.value} (of up to {max(sizes)} nodes)"


def _machine(machine: Machine) -> str:
    """Return what a machine has, in words."""
    parts = []
    if machine.gpu is not None:
        gpus = f"{len(machine.gpus)} {machine.gpu.product} (`{machine.gpu.resource}`)"
        cut = ", ".join(f"{number} times {profile}" for profile, number in machine.mig)
        parts.append(f"{gpus}, each {cut}" if cut else gpus)
    nics = Counter(nic.gbps for nic in machine.nics)
    parts += [f"{number} NICs of {gbps} Gbit/s" for gbps, number in nics.items()]
    parts += [
        f"{machine.numa_nodes} NUMA nodes",
        f"{machine.cpus} cpu",
        f"{machine.memory_gib:,} GiB",
        f"{machine.pods} pods",
    ]
    return ", ".join(parts)


def dialects() -> str:
    """Return the page of the labels that nodes carry."""
    parts = []
    node = labelled(_with_every_level()).nodes[0]
    for dialect in DIALECTS.values():
        keys = {key: level for level, key in dialect.levels}
        rows = [
            (f"`{key}`", keys.get(key, ""), f"`{value}`")
            for key, value in sorted(dialect.labels(_example(dialect, node)).items())
        ]
        default = "yes" if dialect.default else "no"
        facts = [
            ("Written by", dialect.title),
            ("Source", _cell(dialect.source)),
            ("On by default", default),
        ]
        parts += [
            f"## {dialect.name}",
            _table(("", ""), facts),
            _table(("Label", "Level", "Example"), rows),
        ]
    return _page(
        "Dialects: the labels of nodes",
        "A dialect is what one program, or one cloud, writes onto nodes. Those that "
        "are on by default say what they can of a topology. `labelled(topology, "
        'dialects=["kubernetes", "kueue", {"rack": "example.com/rack"}])` takes '
        "others: by name, or as a mapping of levels to label keys of your own. One "
        "that is asked for and cannot express the topology is an error: Kueue's, "
        "GKE's, EKS's and your own need all of their levels, because whoever reads "
        "them ignores a node that lacks one; the others need one at least. Labels of "
        "a machine, and those of a node, win over every dialect's.",
        *parts,
    )


def _with_every_level() -> Topology:
    made = make_topology("dgx-h100", 1)
    names = {Level.CORE: "core-group-0", Level.NVLINK: "nvl72-00"}
    places = {**dict(made.nodes[0].places), **names}
    ordered = tuple((level, places[level]) for level in Level if level in places)
    node = replace(made.nodes[0], places=ordered, labels=())
    return replace(made, nodes=(node,))


def _example(dialect: Dialect, node: NodeSpec) -> NodeSpec:
    """Return a node of which a dialect has something to say."""
    if dialect.labels(node):
        return node
    amd = GpuModel(
        product="AMD_Instinct_MI300X_OAM",
        vendor="amd",
        family="AI",
        resource="amd.com/gpu",
        memory_mib=196_592,
        power_w=750,
    )
    return replace(node, machine=replace(node.machine, gpu=amd))


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
        "because a new KWOK waits for the leases of the old one; one that has let a "
        "node go begins afresh. Only keys that differ are written, and another object "
        "of the same name ends first. It is done when the API server's caches have "
        "caught up.",
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


def workload_dialects() -> str:
    """Return the page of what a gang and a job become for each system."""
    known = {"Gang": Gang, "Job": Job}
    gang, job = (eval(text, known) for text in WORKLOADS)  # noqa: S307 - of this file
    blocks = []
    for dialect in sorted(CHECKED):
        system = System(dialect, binary="bin/system", dialect=dialect, queue="team")
        blocks += [f"## {dialect}", CHECKED[dialect]]
        for workload in (gang, job):
            made = dressed(
                system, workload, render(workload, gpu_resource="nvidia.com/gpu")
            )
            plain = json.loads(json.dumps(made))
            text = yaml.safe_dump_all(plain, sort_keys=False, width=88)
            blocks.append(f"```yaml\n{text}```")
    return _page(
        "What workloads become",
        "The objects that `cluster.submit` creates for a `Gang` and a `Job`, by the "
        "dialect of the [system](../explanation/systems.md) under test.",
        "```python\n" + "\n".join(WORKLOADS) + "\n```",
        *blocks,
    )


WORKLOADS = (
    'Gang("llama", replicas=2, gpus_per_pod=8, topology_key="example.com/rack")',
    'Job("sweep", completions=4, parallelism=2, gpus_per_pod=1)',
)
# By hand: created on an API server 1.36.3 as a dry run with fieldValidation=Strict,
# under the definitions of that project's sources.
CHECKED = {
    "coscheduling": "Valid by scheduler-plugins of 2026-08-16 (after v0.35.4).",
    "jobset": "Valid by JobSet of 2026-08-18 (v0.13.0-devel).",
    "kai": "Valid by KAI scheduler of 2026-03-07 (after v0.13.0-rc1).",
    "kueue": "Kueue reads it from the Job; valid by Kubernetes 1.36.3.",
    "native": "Valid by Kubernetes 1.36.3.",
    "volcano": "Valid by Volcano of 2026-08-20 (after v1.16.0-alpha.1).",
}
PAGES = {
    "control-planes.md": control_planes,
    "state.md": state,
    "options.md": options,
    "faults.md": faults,
    "topologies.md": topologies,
    "topology.svg": pictures.cluster,
    "dialects.md": dialects,
    "time-profiles.md": time_profiles,
    "workloads.md": workload_dialects,
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
