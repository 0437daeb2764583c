"""
What a component is started with instead of what kwokctl wrote down.

One directory for each component in the cluster's own: a file that says it, so that any
process that looks after the cluster starts the component alike, and the files that the
new arguments lead to. It goes as a whole when the component is as it was.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FILE: Final = "override.json"
# What stands for the directory of a component's own files in a flag's value.
HERE: Final = "{dir}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """
    How the command of a component differs from kwokctl's.

    Attributes:
        binary: Another program; empty for the same one.
        flags: Values by name, without the dashes; they win over those that are there.
            `{dir}` in a value is the directory of `files`.
        files: Texts by name, for flags to lead to.

    """

    binary: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.binary or self.flags or self.files)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def directory(workdir: Path, component: str) -> Path:
    """Return where the override of a component is kept."""
    return workdir / "overrides" / component


def program(workdir: Path, component: str) -> Path:
    """Return the link to another program of a component: processes of ours begin so."""
    return workdir / "bin" / f"{component}-replaced"


def read(workdir: Path, component: str) -> Override:
    """Return the override of a component; an empty one where there is none."""
    try:
        text = (directory(workdir, component) / _FILE).read_text()
    except FileNotFoundError:
        return Override()
    return Override(**json.loads(text))


def write(workdir: Path, component: str, override: Override) -> None:
    """Make an override the one of a component; an empty one removes what there is."""
    here, link = directory(workdir, component), program(workdir, component)
    link.unlink(missing_ok=True)
    if not override:
        shutil.rmtree(here, ignore_errors=True)
        return
    here.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in override.files.items():
        _write(here / name, text)
    if override.binary:
        link.symlink_to(override.binary)
    # Whoever is killed here leaves files that nothing leads to.
    beside = here / f"{_FILE}.new"
    _write(beside, json.dumps(override.as_data()))
    beside.replace(here / _FILE)


def command(workdir: Path, component: str, stock: list[str]) -> list[str]:
    """Return the command of a component, with its override if it has one."""
    override = read(workdir, component)
    if not override:
        return stock
    first = str(program(workdir, component)) if override.binary else stock[0]
    here = str(directory(workdir, component))
    # Of a flag that is given twice the last one counts (github.com/spf13/pflag).
    added = [f"--{k}={v.replace(HERE, here)}" for k, v in override.flags.items()]
    return [first, *stock[1:], *added]


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
