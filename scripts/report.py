"""
Render Allure results with Allure 3, if Node is there.

The npm package goes into `.knav/node`, once; nothing of it is committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


ALLURE = "allure@3"
HOME = Path(".knav/node")
CONFIG = Path("reports/allurerc.mjs")


def main() -> int:
    """Render the results of the first argument into the directory of the second."""
    results, report = (Path(argument) for argument in sys.argv[1:3])
    if not any(results.glob("*-result.json")):
        print(f"no results in {results}: run make chaos first")
        return 1
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print(
            "Node and npm are not on PATH, and Allure's command line needs them. "
            f"The results in {results} can be rendered on any machine that has them: "
            f"npx {ALLURE} generate {results}"
        )
        return 1
    tool = HOME / "node_modules" / ".bin" / "allure"
    if not tool.exists():
        print(f"installing {ALLURE} into {HOME}", flush=True)
        HOME.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [npm, "install", "--no-save", "--no-audit", "--no-fund",
             "--no-package-lock", "--loglevel=error", f"--prefix={HOME}", ALLURE],
            check=True,
        )  # fmt: skip
    shutil.rmtree(report, ignore_errors=True)
    said = _render(tool, results, report)
    page = report / "index.html"
    if not page.is_file():
        print(f"Allure has written no report:\n{said}")
        return 1
    if said:
        print(said)
    print(f"the report is {page}")
    return 0


def _render(tool: Path, results: Path, report: Path) -> str:
    """
    Write the report, and return what its quality gate said.

    Of Allure's commands only `run` puts the quality gate into the report: it reads the
    results that a command makes, and here that command copies those of an earlier run.
    """
    with tempfile.TemporaryDirectory() as workdir:
        copy = Path(workdir) / "allure-results"
        done = subprocess.run(
            [tool, "run", f"--config={CONFIG}", f"--output={report}",
             f"--results-dir={copy}", "--ignore-logs",
             "--", "cp", "-r", results, copy],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
    # The answer is that of the run that has ended, whatever Allure's exit code says.
    return done.stderr.strip()


sys.exit(main())
