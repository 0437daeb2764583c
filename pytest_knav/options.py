"""
The options of the plugin: one table, from which flags, ini, environment and docs come.

Command line before environment before ini before default. Nothing heavy is imported
here: every pytest user loads this module.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """
    One option.

    Attributes:
        name: Without prefix: `nodes` is `--knav-nodes`, `KNAV_NODES`, ini `knav_nodes`.
        parse: From text to value; raises `ValueError` for what it does not take.
        allowed: What it takes, in words.
        bare: Whether the flag takes no value, and means `on`.

    """

    name: str
    metavar: str
    default: str | None
    help: str
    allowed: str
    parse: Callable[[str], Any] = str
    bare: bool = False

    @property
    def flag(self) -> str:
        """Return the command line flag."""
        return f"--knav-{self.name}"

    @property
    def ini(self) -> str:
        """Return the name in pytest's configuration file."""
        return f"knav_{self.name.replace('-', '_')}"

    @property
    def variable(self) -> str:
        """Return the environment variable."""
        return f"KNAV_{self.name.replace('-', '_').upper()}"


def _blast(text: str) -> str:
    number, _, rest = text.strip().partition("%")
    share = text.strip().endswith("%") and not rest
    if not 0 < float(number) <= (100 if share else float("inf")):
        raise ValueError(text)
    if not share and not text.strip().isdecimal():
        raise ValueError(text)
    return text.strip()


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def _nodes(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 20_000:
        raise ValueError(text)
    return count


def _systems(text: str) -> str:
    if not all(part.strip() for part in text.split(",")):
        raise ValueError(text)
    return text


def _switch(text: str) -> bool:
    return {"on": True, "off": False}[_one_of("on", "off")(text)]


def _times(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 1_000:
        raise ValueError(text)
    return count


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _version(text: str) -> str:
    parts = text.removeprefix("v").split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise ValueError(text)
    return ".".join(parts)


OPTIONS: tuple[Option, ...] = (
    Option(
        name="assets",
        metavar="DIR",
        default=None,
        help="Directory with the binaries of the control plane; what it lacks is "
        "looked for in the cache, downloaded or built.",
        allowed="a directory",
        parse=_path,
    ),
    Option(
        name="kube-version",
        metavar="X.Y.Z",
        default=None,
        help="Kubernetes version to run; another one than the pinned one must be "
        "downloaded.",
        allowed="a version such as 1.36.3",
        parse=_version,
    ),
    Option(
        name="control-plane",
        metavar="plain|fast",
        default="fast",
        help="`fast`: without client rate limits, with an etcd that does not sync to "
        "disk; `plain`: as kwokctl starts it (at most 20 writes a second by the "
        "controller manager, 50 bindings a second by the scheduler).",
        allowed="plain or fast",
        parse=_one_of("plain", "fast"),
    ),
    Option(
        name="time-profile",
        metavar="real|fast",
        default="fast",
        help="How fast the control plane notices failures: `real` are the defaults of "
        "Kubernetes, `fast` compresses them.",
        allowed="real or fast",
        parse=_one_of("real", "fast"),
    ),
    Option(
        name="topology",
        metavar="NAME",
        default="dgx-h100",
        help="Topology of tests that name none.",
        allowed="a name from `knav topology list`, or the path of a .yaml file",
    ),
    Option(
        name="nodes",
        metavar="N",
        default=None,
        help="Number of nodes of tests that name none; by default the topology's own.",
        allowed="a whole number from 1 to 20000",
        parse=_nodes,
    ),
    Option(
        name="system",
        metavar="NAME|FILE[,…]",
        default=None,
        help="Schedulers or operators under test: `stock`, a .yaml file, FILE.py or "
        "FILE.py:NAME; with several, each test runs with each of them.",
        allowed="stock, or files that hold a System, separated by commas",
        parse=_systems,
    ),
    Option(
        name="seed",
        metavar="N",
        default=None,
        help="Seed of every choice; by default a new one for each run, printed.",
        allowed="a whole number",
        parse=int,
    ),
    Option(
        name="max-blast",
        metavar="N|SHARE",
        default=None,
        help="How many nodes faults may touch at the same time; a test that asks for "
        "more is refused before anything changes.",
        allowed="a number of nodes from 1, or a share such as 10%",
        parse=_blast,
    ),
    Option(
        name="artifacts",
        metavar="DIR",
        default=".knav/runs",
        help="Where runs leave their histories, logs and timelines.",
        allowed="a directory",
        parse=_path,
    ),
    Option(
        name="repeat",
        metavar="N",
        default="1",
        help="Run each test with a cluster N times with the same seed, and tell what "
        "fails always from what is flaky.",
        allowed="a whole number from 1 to 1000",
        parse=_times,
    ),
    Option(
        name="baseline",
        metavar="",
        default="off",
        help="Run each chaos test once more, with the same seed and without its "
        "faults, and show what the faults have changed.",
        allowed="on or off",
        parse=_switch,
        bare=True,
    ),
    Option(
        name="keep",
        metavar="WHEN",
        default="on-failure",
        help="Which tests' artifacts stay: `always`, `on-failure` or `never`.",
        allowed="always, on-failure or never",
        parse=_one_of("always", "on-failure", "never"),
    ),
    Option(
        name="timeline",
        metavar="WHEN",
        default="on",
        help="Attach a timeline to reports: `on`, `off` or `retain-on-failure`.",
        allowed="on, off or retain-on-failure",
        parse=_one_of("on", "off", "retain-on-failure"),
    ),
    Option(
        name="gate",
        metavar="FILE",
        default=None,
        help="What a merge needs; the run ends with the answer BLOCK, SHIP or RERUN, "
        "which is its exit code as well (1, 0 or 10).",
        allowed="a .yaml file",
        parse=_path,
    ),
    Option(
        name="reuse",
        metavar="",
        default="off",
        help="Leave the control plane running when the run ends, and begin with the "
        "one that the last run left, if it is of the same kind; `knav cluster down "
        "--all` removes it.",
        allowed="on or off",
        parse=_switch,
        bare=True,
    ),
    Option(
        name="kubeconfig",
        metavar="FILE",
        default=None,
        help="Use this cluster of ours (`knav cluster up`) instead of making one.",
        allowed="the path that `knav cluster kubeconfig` prints",
        parse=_path,
    ),
)


# What changes the outcome of a test; where things are found or kept does not.
_CHOICES = (
    "kube_version", "control_plane", "time_profile", "topology", "nodes", "system",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The value of every option, and where each came from."""

    assets: Path | None
    kube_version: str | None
    control_plane: str
    time_profile: str
    topology: str
    nodes: int | None
    system: str | None
    seed: int
    max_blast: str | None
    artifacts: Path
    repeat: int
    baseline: bool
    keep: str
    timeline: str
    gate: Path | None
    reuse: bool
    kubeconfig: Path | None
    origins: Mapping[str, str]

    def explicit(self, name: str) -> bool:
        """Return whether an option was set for this run, not by ini or default."""
        return self.origins[name] in {"command line", "environment"}

    def arguments(self) -> list[str]:
        """Return the flags with which another run makes the same choices."""
        chosen = [
            f"--knav-{name.replace('_', '-')}={getattr(self, name)}"
            for name in _CHOICES
            if self.explicit(name)
        ]
        return [*chosen, f"--knav-seed {self.seed}"]


def add_options(parser: pytest.Parser) -> None:
    """Add every option as flag and as ini value."""
    group = parser.getgroup("knav", "chaos tests of schedulers (pytest-knav)")
    for option in OPTIONS:
        note = f" [default: {option.default}]" if option.default else ""
        takes: dict[str, Any] = {"metavar": option.metavar}
        if option.bare:
            takes = {"action": "store_const", "const": "on"}
        group.addoption(
            option.flag, dest=option.ini, default=None, help=option.help + note, **takes
        )
        if option.parse in {int, _nodes}:
            parser.addini(option.ini, help=option.help, type="int", default=None)
        else:
            parser.addini(option.ini, help=option.help, type="string", default=None)


def read_settings(config: pytest.Config, *, fresh_seed: int) -> Settings:
    """
    Return the settings of a run.

    Args:
        config: pytest's configuration.
        fresh_seed: The seed if none was chosen.

    Raises:
        BadInput: A value is not one that its option takes.

    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for option in OPTIONS:
        text, origin = _raw(option, config)
        key = option.name.replace("-", "_")
        value = None if text is None else _parse(option, text, origin)
        if origin == "ini" and isinstance(value, Path) and config.inipath:
            value = config.inipath.parent / value
        values[key] = value
        origins[key] = origin
    if values["seed"] is None:
        values["seed"] = fresh_seed
    return Settings(**values, origins=origins)


def check_together(config: pytest.Config) -> None:
    """
    Refuse options that lose results when they meet.

    Raises:
        pytest.UsageError: They do.

    """
    if (
        config.getoption("clean_alluredir", default=False)
        and config.getoption("numprocesses", default=None)
        and not config.option.collectonly
    ):
        raise pytest.UsageError(
            "--clean-alluredir together with -n: every worker empties the directory "
            "when it starts, also one that replaces a crashed one, and results of the "
            "others are lost: empty it yourself before the run"
        )


def _raw(option: Option, config: pytest.Config) -> tuple[str | None, str]:
    given = config.getoption(option.ini)
    if given is not None:
        return str(given), "command line"
    variable = os.environ.get(option.variable)
    if variable:
        return variable, "environment"
    ini = config.getini(option.ini)
    if ini:
        return str(ini), "ini"
    return option.default, "default"


def _parse(option: Option, text: str, origin: str) -> object:
    try:
        return option.parse(text)
    except ValueError as error:
        where = {
            "command line": option.flag,
            "environment": option.variable,
            "ini": option.ini,
        }.get(origin, option.flag)
        raise BadInput(f"{where}={text!r}: give {option.allowed}") from error
