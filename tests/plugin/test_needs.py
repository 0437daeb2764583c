"""What a test asks of its cluster is checked before anything starts."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('topology="nope"', "topology 'nope' is unknown: use one of *dgx-h100*"),
        ("topology=7", "knav(topology=7): give the name of a topology, the path*"),
        ("nodes=0", "nodes=0 is out of range: use 1 to 20000"),
        ("nodes=20001", "nodes=20001 is out of range: use 1 to 20000"),
        ('nodes="4"', "nodes='4' is not a whole number"),
        ("nodes=True", "nodes=True is not a whole number"),
        ('"dgx-h100"', "knav('dgx-h100'): name the arguments: topology=*"),
        ("node=4", "knav(node=4): there is no such argument: use topology, nodes*"),
        ("dra=1", "knav(dra=1): give True or False"),
        ("leader_election=1", "knav(leader_election=1): give True or False"),
        ("feature_gates=7", "knav(feature_gates=7): give a dict such as*"),
        ('feature_gates={"A": 1}', "knav(feature_gates={'A': 1}): give a dict such*"),
    ],
)
def test_wrong_mark_is_refused(inner: pytest.Pytester, mark: str, message: str) -> None:
    """The run ends at collection and names the test, the value and the choices."""
    inner.makepyfile(
        f"import pytest\n\n@pytest.mark.knav({mark})\ndef test_it(cluster): pass"
    )

    result = inner.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    named = message.replace("[", "[[]")
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: {named}"])


def test_unknown_topology_of_the_option(inner: pytest.Pytester) -> None:
    """One mistake is told once, however many tests it concerns."""
    inner.makepyfile("\n".join(f"def test_{i}(cluster): pass" for i in range(9)))

    result = inner.runpytest_inprocess("--knav-topology=nope")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *::test_0, *::test_1, *::test_2 and 6 more: topology 'nope' is*"]
    )


def test_option_against_mark(inner: pytest.Pytester) -> None:
    """An option never changes silently what a test says that it needs."""
    inner.makepyfile(
        "import pytest\n\n@pytest.mark.knav(nodes=4)\ndef test_it(cluster): pass"
    )

    result = inner.runpytest_inprocess("--knav-nodes=8")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *::test_it: knav(nodes=4) is what the test needs, but --knav-nodes*"]
    )


def test_closest_mark_wins(inner: pytest.Pytester) -> None:
    """The mark of a test stands before that of its module, argument by argument."""
    inner.makepyfile(
        "import pytest\n"
        'pytestmark = pytest.mark.knav(nodes=0, topology="dgx-h100")\n\n'
        "@pytest.mark.knav(nodes=4)\ndef test_it(cluster): pass"
    )

    result = inner.runpytest_inprocess("--collect-only")

    assert result.ret == 0


def test_all_mistakes_are_told_at_once(inner: pytest.Pytester) -> None:
    """Nobody has to run pytest again to see the next one."""
    inner.makepyfile(
        "import pytest\n\n"
        "@pytest.mark.knav(nodes=0)\ndef test_a(cluster): pass\n\n"
        "@pytest.mark.knav(nodes=-1)\ndef test_b(cluster): pass"
    )

    result = inner.runpytest_inprocess()

    result.stderr.fnmatch_lines(["*::test_a: nodes=0*", "*::test_b: nodes=-1*"])


TOPOLOGY = "name: mine\npreset: cpu\nnodes: 3\n"


def test_topology_file_of_a_mark(inner: pytest.Pytester) -> None:
    """Its path starts where the test's own file is, not where pytest was started."""
    inner.mkdir("sub").joinpath("mine.yaml").write_text(TOPOLOGY)
    inner.path.joinpath("sub", "test_it.py").write_text(
        'import pytest\n\n@pytest.mark.knav(topology="mine.yaml")\n'
        "def test_it(cluster): pass\n\n"
        '@pytest.mark.knav(topology="../mine.yaml")\n'
        "def test_other(cluster): pass"
    )

    result = inner.runpytest_inprocess("--collect-only")

    result.stderr.fnmatch_lines(["ERROR: *::test_other: *mine.yaml: No such file*"])
    result.stderr.no_fnmatch_line("*::test_it*")


def test_topology_file_of_the_option(inner: pytest.Pytester) -> None:
    """Its path starts where pytest was started; what is wrong in it is named."""
    inner.path.joinpath("mine.yaml").write_text(TOPOLOGY.replace("cpu", "cpus"))
    inner.mkdir("sub").joinpath("test_it.py").write_text("def test_it(cluster): pass")

    result = inner.runpytest_inprocess("--knav-topology=mine.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *::test_it: *mine.yaml, line 2: preset: 'cpus' is unknown: use one*"]
    )


def test_topology_as_a_value(inner: pytest.Pytester) -> None:
    """A mark takes what `make_topology` makes; a number of nodes beside it is wrong."""
    inner.makepyfile(
        "import pytest\nfrom pytest_knav.topology import make_topology\n\n"
        'MINE = make_topology("cpu", 2)\n\n'
        "@pytest.mark.knav(topology=MINE)\ndef test_a(cluster): pass\n\n"
        "@pytest.mark.knav(topology=MINE, nodes=3)\ndef test_b(cluster): pass"
    )

    result = inner.runpytest_inprocess("--collect-only")

    result.stderr.fnmatch_lines(["ERROR: *::test_b: knav(topology=*, nodes=3)*has 2*"])
    result.stderr.no_fnmatch_line("*::test_a*")


def test_with_workers(inner: pytest.Pytester) -> None:
    """Under xdist it is the same usage error, not an internal one."""
    inner.makepyfile(
        "import pytest\n\n@pytest.mark.knav(nodes=0)\ndef test_it(cluster): pass"
    )

    result = inner.runpytest_subprocess("-n2")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *::test_it: nodes=0 is out of range*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
