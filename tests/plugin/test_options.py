"""Options: where they come from, who wins, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from pathlib import Path


PLAIN = "def test_plain(): pass"
CHAOTIC = "def test_chaotic(chaos): pass"


class TestPrecedence:
    """Command line before environment before ini before default."""

    def test_default_is_not_mentioned(self, inner: pytest.Pytester) -> None:
        """A user who sets nothing sees one short line."""
        inner.makepyfile(PLAIN)

        result = inner.runpytest_inprocess()

        lines = [line for line in result.outlines if line.startswith("knav")]
        assert len(lines) == 1
        result.stdout.fnmatch_lines(["knav: seed [0-9]*, time profile fast, assets=*"])

    @pytest.mark.parametrize(
        ("ini", "environment", "arguments", "origin"),
        [
            ("real", "", (), "ini"),
            ("fast", "real", (), "environment"),
            ("fast", "fast", ("--knav-time-profile=real",), "command line"),
        ],
    )
    def test_nearer_wins(  # noqa: PLR0917 - pytest passes arguments by name
        self,
        inner: pytest.Pytester,
        monkeypatch: pytest.MonkeyPatch,
        ini: str,
        environment: str,
        arguments: tuple[str, ...],
        origin: str,
    ) -> None:
        """The header shows the value that counts and where it came from."""
        inner.makepyfile(PLAIN)
        inner.makefile(".toml", pytest=f'[pytest]\nknav_time_profile = "{ini}"')
        monkeypatch.setenv("KNAV_TIME_PROFILE", environment)

        result = inner.runpytest_inprocess(*arguments)

        result.stdout.fnmatch_lines(
            [f"knav: *time profile real*time-profile=real ({origin})"]
        )

    def test_path_in_ini_is_relative_to_the_file(
        self, inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A directory in the configuration means the same wherever pytest is run."""
        monkeypatch.delenv("KNAV_ASSETS")
        inner.makepyfile(PLAIN)
        inner.makefile(".toml", pytest='[pytest]\nknav_assets = "bin"')

        result = inner.runpytest_inprocess()

        result.stdout.fnmatch_lines([f"knav: *assets={inner.path}/bin (ini)"])


class TestWrongValues:
    """A wrong value ends the run with one line that shows what would be right."""

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            (
                "--knav-nodes=0",
                "--knav-nodes='0': give a whole number from 1 to 20000",
            ),
            ("--knav-nodes=x", "--knav-nodes='x': give a whole number*"),
            ("--knav-seed=x", "--knav-seed='x': give a whole number"),
            ("--knav-time-profile=slow", "*'slow': give real or fast"),
            ("--knav-control-plane=slow", "*'slow': give plain or fast"),
            ("--knav-keep=maybe", "*'maybe': give always, on-failure or never"),
            ("--knav-timeline=maybe", "*'maybe': give on, off or retain-on-failure"),
            ("--knav-kube-version=1", "*'1': give a version such as*"),
        ],
    )
    def test_command_line(
        self, inner: pytest.Pytester, argument: str, message: str
    ) -> None:
        """Exit code 4, the value, what is allowed, no traceback."""
        inner.makepyfile(PLAIN)

        result = inner.runpytest_inprocess(argument)

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {message}"])
        result.stderr.no_fnmatch_line("*Traceback*")

    def test_environment_is_named(
        self, inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The message names the variable, not a flag that nobody typed."""
        monkeypatch.setenv("KNAV_NODES", "many")
        inner.makepyfile(PLAIN)

        result = inner.runpytest_inprocess()

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: KNAV_NODES='many': give a whole number*"])

    def test_ini_is_named(self, inner: pytest.Pytester) -> None:
        """The message names the key of the configuration file."""
        inner.makefile(".toml", pytest='[pytest]\nknav_keep = "maybe"')
        inner.makepyfile(PLAIN)

        result = inner.runpytest_inprocess()

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: knav_keep='maybe': give always*"])


class TestWithoutACluster:
    """What stands in the way of every cluster is said once, before any test runs."""

    def test_assets_directory_is_missing(self, inner: pytest.Pytester) -> None:
        """The directory is named."""
        inner.makepyfile(CHAOTIC)

        result = inner.runpytest_inprocess("--knav-assets=nowhere")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: the assets directory 'nowhere' does not*"])
        assert not (inner.path / ".knav").exists()

    def test_nobody_asks_for_a_cluster(self, inner: pytest.Pytester) -> None:
        """A run that needs no cluster does not care."""
        inner.makepyfile(PLAIN)

        result = inner.runpytest_inprocess("--knav-assets=nowhere")

        result.assert_outcomes(passed=1)

    def test_kwokctl_is_old(
        self, inner: pytest.Pytester, broken_binaries: Path
    ) -> None:
        """An old kwokctl is named with its version and the oldest that will do."""
        inner.makepyfile(CHAOTIC)
        script = "#!/bin/sh\necho kwokctl version v0.3.0\n"
        (broken_binaries / "kwokctl").write_text(script)

        result = inner.runpytest_inprocess(f"--knav-assets={broken_binaries}")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *kwokctl v0.3.0, at least 0.7.0 is*"])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "*No such file or directory"),
            ("a: b", "*is not one of a pytest-knav cluster*"),
            ("closed port", "*https://127.0.0.1:9 does not answer"),
        ],
    )
    def test_kubeconfig_leads_nowhere(
        self, inner: pytest.Pytester, text: str | None, message: str
    ) -> None:
        """A kubeconfig that is missing, foreign or dead is named with the reason."""
        inner.makepyfile(CHAOTIC)
        if text is not None:
            content = DEAD_KUBECONFIG if text == "closed port" else text
            (inner.path / "config").write_text(content)

        result = inner.runpytest_inprocess("--knav-kubeconfig=config")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: kubeconfig config{message}"])
        assert len(result.errlines) < 4

    def test_artifacts_cannot_be_written(
        self, inner: pytest.Pytester, broken_binaries: Path
    ) -> None:
        """A file in the way of the artifacts is found before the first cluster."""
        inner.makepyfile(CHAOTIC)
        (inner.path / "taken").write_text("")

        result = inner.runpytest_inprocess(
            f"--knav-assets={broken_binaries}", "--knav-artifacts=taken"
        )

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: --knav-artifacts: * cannot be made:*"])

    def test_clusters_do_not_come_up(
        self, inner: pytest.Pytester, broken_binaries: Path, state: Path
    ) -> None:
        """Each test is an error in a few lines; after three nobody tries again."""
        inner.makepyfile("\n".join(f"def test_{i}(cluster): pass" for i in range(5)))

        result = inner.runpytest_inprocess(f"--knav-assets={broken_binaries}")

        result.assert_outcomes(errors=5)
        result.stdout.fnmatch_lines(
            ["kwokctl could not create cluster *: no luck", "not tried: 3 clusters*"]
        )
        result.stdout.no_fnmatch_line("*Traceback*")
        assert len(result.outlines) < 50
        assert not list((state / "pytest-knav" / "clusters").glob("*/cluster.json"))


class TestTogether:
    """Options that lose results when they meet."""

    def test_clean_alluredir_with_workers(self, inner: pytest.Pytester) -> None:
        """The results that are there are not touched."""
        inner.makepyfile(PLAIN)
        kept = inner.mkdir("results") / "old-result.json"
        kept.write_text("{}")

        result = inner.runpytest_inprocess(
            "-n1", "--alluredir=results", "--clean-alluredir"
        )

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: --clean-alluredir together with -n:*"])
        assert kept.exists()

    def test_clean_alluredir_alone(self, inner: pytest.Pytester) -> None:
        """Without workers it does as it says."""
        inner.makepyfile(PLAIN)

        result = inner.runpytest_inprocess("--alluredir=results", "--clean-alluredir")

        result.assert_outcomes(passed=1)


DEAD_KUBECONFIG = """
current-context: dead
contexts: [{name: dead, context: {cluster: dead, user: dead}}]
clusters:
- {name: dead, cluster: {server: "https://127.0.0.1:9", certificate-authority: ca}}
users:
- {name: dead, user: {client-certificate: crt, client-key: key}}
"""
