"""Steps, parameters and attachments for Allure, where allure-pytest is writing."""

from __future__ import annotations

import hashlib
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_knav.history.record import FAULT, SAMPLE, encode
from pytest_knav.reports import timeline
from pytest_knav.reports.record import DEFAULT_SEVERITY


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pytest

    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.reports.record import TestRecord

LOG_BYTES_MAX = 512_000
FILE_BYTES_MAX = 16 * 2**20
SAMPLES_MAX = 10_000
GATE_FILE = "knav-gate.json"


class AllureReport:
    """The running test's report; does nothing where there is none."""

    writing = False

    def step(self, title: str) -> AbstractContextManager[object]:
        """Return a context that is a step of the report."""
        del title
        return nullcontext()

    def describe(self, cluster: Cluster, record: TestRecord) -> None:
        """Add labels, parameters and tables to the test."""

    def attach_text(self, name: str, text: str) -> None:
        """Attach a text."""

    def attach_picture(self, name: str, svg: str) -> None:
        """Attach an SVG."""

    def attach_page(self, name: str, page: str) -> None:
        """Attach an HTML page."""

    def attach_evidence(self, cluster: Cluster, record: TestRecord) -> None:
        """Attach what a failed test can be judged by again."""

    def attach_log(self, path: Path) -> None:
        """Attach the end of a log."""


class _Writing(AllureReport):
    writing = True

    def step(self, title: str) -> AbstractContextManager[object]:
        import allure  # noqa: PLC0415 - only where it is active

        step: AbstractContextManager[object] = allure.step(title)
        return step

    def describe(self, cluster: Cluster, record: TestRecord) -> None:
        import allure  # noqa: PLC0415 - only where it is active

        dynamic: Any = allure.dynamic
        for kind, label in labels_of(record):
            # What a mark says, Allure says already.
            if kind != "severity" or label == DEFAULT_SEVERITY:
                dynamic.label(kind, label)
        # Excluded from the history id: the same test with another seed is the same.
        for name, value in (
            ("seed", record.seed),
            ("time profile", record.time_profile),
            ("topology", f"{record.topology}, {record.nodes} nodes"),
        ):
            dynamic.parameter(name, value, excluded=True)
        self.attach_text("time profile", _profile_table(cluster))
        if record.recoveries:
            self._attach("recoveries", _recovery_table(record), "CSV")
        if record.verdict != "pass":
            self.attach_text("where to look", record.where_to_look())

    def attach_text(self, name: str, text: str) -> None:
        self._attach(name, text, "TEXT")

    def attach_picture(self, name: str, svg: str) -> None:
        self._attach(name, svg, "SVG")

    def attach_page(self, name: str, page: str) -> None:
        self._attach(name, page, "HTML")

    def attach_evidence(self, cluster: Cluster, record: TestRecord) -> None:
        import allure  # noqa: PLC0415 - only where it is active

        plan = [encode(one) for one in cluster.history.records(FAULT)]
        if plan:
            self.attach_text("faults.jsonl", b"\n".join(plan).decode())
        samples = [encode(one) for one in cluster.history.records(SAMPLE)]
        if samples:
            shown = b"\n".join(samples[-SAMPLES_MAX:])
            self.attach_text("samples.jsonl", shown.decode())
        # Finished segments; the last one is still being written.
        found = sorted((cluster.artifacts / "history").glob("*.gz"))
        attach: Any = allure.attach
        for path in [*found, *map(Path, filter(None, [record.state]))]:
            if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
                suffix = path.suffix.removeprefix(".")
                attach.file(str(path), name=path.name, extension=suffix)

    def attach_log(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES_MAX))
            self.attach_text(path.name, file.read().decode(errors="replace"))

    def _attach(self, name: str, text: str, kind: str) -> None:
        import allure  # noqa: PLC0415 - only where it is active

        allure.attach(
            text, name=name, attachment_type=getattr(allure.attachment_type, kind)
        )


def labels_of(record: TestRecord) -> Iterator[tuple[str, str]]:
    """
    Yield what a test is filed under: the system under test, the families of its faults,
    the invariants that it was judged by, and how bad its failure is.
    """
    from pytest_knav.faults.catalogue import catalogue  # noqa: PLC0415 - heavy

    stock = record.system == "stock"
    yield "epic", "kube-scheduler" if stock else record.system
    known = catalogue()
    kinds = dict.fromkeys(fault.partition("(")[0] for fault in record.faults)
    families = [known[kind].card.family for kind in kinds if kind in known]
    for family in dict.fromkeys(families):
        yield "feature", family
    for kind in kinds:
        yield "tag", kind
    stories = ["recovered"] if record.recoveries else []
    for story in (*stories, *record.checks):
        yield "story", story
    yield "severity", record.severity
    yield "knav.verdict", record.verdict


def active(config: pytest.Config) -> AllureReport:
    """Return the running test's report."""
    writing = config.getoption("allure_report_dir", None)
    return _Writing() if writing else AllureReport()


def report_crash(nodeid: str, message: str, record: TestRecord | None = None) -> None:
    """
    Write a *broken* result for a test whose process died; called once for each.

    Args:
        nodeid: The test.
        message: What is said of it.
        record: What it has left, if it had a cluster.

    """
    from allure_commons import plugin_manager  # noqa: PLC0415 - only where active
    from allure_commons.model2 import (  # noqa: PLC0415 - as above
        Label,
        StatusDetails,
        TestResult,
    )

    full_name = full_name_of(nodeid)
    package = full_name.partition("#")[0]
    labels = [
        ("framework", "pytest"),
        ("package", package),
        ("suite", package.rpartition(".")[2]),
        *([("knav.verdict", "broken")] if record is None else labels_of(record)),
    ]
    # As allure-pytest has it, so that the result continues the history of the test.
    case_id = hashlib.md5(full_name.encode(), usedforsecurity=False).hexdigest()
    now_ms = round(time.time() * 1000)
    result = TestResult(
        uuid=str(uuid.uuid4()),
        name=full_name.rpartition("#")[2] + "".join(nodeid.partition("[")[1:]),
        fullName=full_name,
        testCaseId=case_id,
        status="broken",
        statusDetails=StatusDetails(message=message),
        labels=[Label(name=name, value=value) for name, value in labels],
        attachments=[] if record is None else _left(record),
        start=now_ms,
        stop=now_ms,
    )
    plugin_manager.hook.report_result(result=result)


def _left(record: TestRecord) -> list[object]:
    """Attach what a test whose process died has left, and return the attachments."""
    from allure_commons import plugin_manager  # noqa: PLC0415 - only where active
    from allure_commons.model2 import Attachment  # noqa: PLC0415 - as above

    home = Path(record.artifacts)
    found = [
        ("timeline", home / timeline.TEXT, "text/plain"),
        (timeline.PAGE, home / timeline.PAGE, "text/html"),
        *((p.name, p, "application/gzip") for p in (home / "history").glob("*.gz")),
    ]
    source = f"{uuid.uuid4()}-attachment.txt"
    told = record.where_to_look()
    plugin_manager.hook.report_attached_data(body=told, file_name=source)
    made: list[object] = [
        Attachment(name="where to look", source=source, type="text/plain")
    ]
    for name, path, kind in found:
        if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
            source = f"{uuid.uuid4()}-attachment{path.suffix}"
            plugin_manager.hook.report_attached_file(source=path, file_name=source)
            made.append(Attachment(name=name, source=source, type=kind))
    return made


def full_name_of(nodeid: str) -> str:
    """Return the name by which allure-pytest knows a test, without its parameters."""
    path, *names = nodeid.partition("[")[0].split("::")
    home = ".".join([path.removesuffix(".py").replace("/", "."), *names[:-1]])
    return f"{home}#{names[-1]}" if names else home


def write_environment(
    directory: Path, records: Sequence[TestRecord], gate: str = ""
) -> None:
    """Write `environment.properties`, which Allure shows on its first page."""
    from pytest_knav import __version__  # noqa: PLC0415 - only used here

    facts = {"pytest-knav": __version__}
    for name in sorted({name for record in records for name in record.versions}):
        facts[name] = _joined(record.versions.get(name, "") for record in records)
    if gate:
        facts["gate"] = gate
    facts["seed"] = _joined(record.seed for record in records)
    facts["time profile"] = _joined(record.time_profile for record in records)
    facts["topology"] = _joined(f"{r.topology}, {r.nodes} nodes" for r in records)
    directory.mkdir(parents=True, exist_ok=True)
    lines = [f"{key.replace(' ', '.')}={value}" for key, value in facts.items()]
    (directory / "environment.properties").write_text("\n".join([*lines, ""]))


def write_gate(directory: Path, answer: str, summary: Path) -> None:
    """
    Write what a gate said beside the results: for the report's quality gate, which
    `allurerc.mjs` reads, and its summary as an attachment of the whole run.
    """
    import allure  # noqa: PLC0415 - only where it is active

    directory.mkdir(parents=True, exist_ok=True)
    (directory / GATE_FILE).write_text(answer, encoding="utf-8")
    attach: Any = allure.global_attach
    attach.file(
        str(summary),
        name=summary.name,
        attachment_type="text/markdown",
        extension=summary.suffix.removeprefix("."),
    )


def _joined(values: Iterable[object]) -> str:
    return "; ".join(sorted({str(value) for value in values if value != ""}))


def _profile_table(cluster: Cluster) -> str:
    rows = [("setting", "real", cluster.profile.name), *cluster.profile.table()]
    return "\n".join(f"{a:40s} {b:>10s} {c:>10s}" for a, b, c in rows)


def _recovery_table(record: TestRecord) -> str:
    phases = list(dict.fromkeys(p for row in record.recoveries for p in row.phases))
    head = ["workload", "fault", "outcome", *phases, "total", "limit"]
    lines = [",".join([*head, "lost GPU-hours"])]
    for row in record.recoveries:
        figures = [row.phases.get(phase) for phase in phases]
        cells = [*figures, row.seconds, row.within_s, row.lost_gpu_hours]
        shown = ["" if cell is None else f"{cell:.2f}" for cell in cells]
        lines.append(",".join([row.workload, f'"{row.fault}"', row.outcome, *shown]))
    return "\n".join([*lines, ""])
