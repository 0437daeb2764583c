"""
Render Allure results with Allure 3, if Node is there.

The npm package goes into `.knav/node`, once; nothing of it is committed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
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
    subprocess.run(
        [tool, "generate", f"--config={CONFIG}", f"--output={report}", results],
        check=True,
    )
    print(f"the report is {report / 'index.html'}")
    return 0


sys.exit(main())
