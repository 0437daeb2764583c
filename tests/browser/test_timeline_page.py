"""Timelines, opened and used in a real browser."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pytest_knav.reports import timeline
from pytest_knav.selfbench.histories import make_records


if TYPE_CHECKING:
    from conftest import Browser

    from pytest_knav.reports.timeline import Timeline

# Issue 7: opened in under 3 s; the machine that runs this has other work as well.
OPENED_MS_MAX = 3_000
RUNNING, RUNNING_DARK, GROUND_DARK = "#0072b2", "#4ba3dc", "#16181d"


@cache
def day(records: int, nodes: int, pods: int) -> Timeline:
    """Return the timeline of a made day."""
    return timeline.read_timeline(make_records(records, nodes=nodes, pods=pods))


@cache
def page(records: int = 30_000, nodes: int = 100, pods: int = 800) -> str:
    """Return the page of a made day."""
    return timeline.html(day(records, nodes, pods))


def test_a_thousand_nodes_open_in_time(browser: Browser) -> None:
    """With 10,000 pods: drawn within three seconds, only the lanes in sight."""
    facts = browser.read(page(150_000, 1_000, 10_000)).facts

    assert "error" not in facts
    assert facts["openedMs"] < OPENED_MS_MAX
    assert facts["opened"]["lanes"] == 1_000
    assert 10 < facts["opened"]["drawn"] < 100
    assert facts["opened"]["tall"]
    assert not facts["still"]


def test_every_view_shows_its_lanes(browser: Browser) -> None:
    """Nodes, GPUs, workloads; a filter leaves what has its words; `a` what was hit."""
    steps = """
      press("1"); see("nodes"); press("2"); see("gpus"); press("3"); see("workloads");
      press("1"); press("a"); see("hit"); press("a");
      $("filter").value = "node-00042"; $("filter").dispatchEvent(new Event("input"));
      see("filtered"); press("2"); see("its gpus"); press("f"); see("overview");
    """

    facts = browser.read(page(), steps=steps).facts

    found = day(30_000, 100, 800)
    hit = {name for fault in found.faults for name in fault.nodes}
    assert "error" not in facts
    assert facts["nodes"]["lanes"] == 100
    assert facts["gpus"]["lanes"] == 800
    assert facts["workloads"]["lanes"] == len(found.workloads)
    assert facts["hit"]["lanes"] == len(hit)
    assert facts["filtered"]["lanes"] == 1
    assert facts["its gpus"]["lanes"] == facts["its gpus"]["drawn"] == 8


def test_a_link_leads_to_its_moment(browser: Browser) -> None:
    """The address sets cursor, view and lane; the moment is marked and said."""
    found = day(30_000, 100, 800)
    fault = found.faults[0]
    seconds = fault.start / 1000 + 0.001

    facts = browser.read(
        page(), at=f"#t={seconds}&view=gpus&lane={fault.nodes[0]}/gpu-7"
    ).facts

    seen = facts["opened"]
    assert "error" not in facts
    assert seen["cursor"] == fault.start + 1
    assert seen["view"] == "gpus"
    assert seen["from"] <= fault.start <= seen["to"] < found.length
    assert found.gpus[seen["selected"]] == f"{fault.nodes[0]}/gpu-7"
    assert "injecting NodeCrash" in seen["now"]
    assert seen["top"] > 0


def test_keys_do_what_the_mouse_does(browser: Browser) -> None:
    """Zoom, pan, all; from moment to moment; lanes by arrow; a workload opens."""
    steps = """
      press("+"); see("closer"); press("ArrowRight"); see("later");
      press("0"); see("whole"); press("n"); press("n"); see("next");
      press("ArrowDown"); press("ArrowDown"); see("lane");
      press("3"); see("closed"); press("ArrowDown"); press("Enter"); see("open");
      facts.heights = [state.tops[1], state.lanes.length];
      press("Escape"); see("nothing");
    """

    facts = browser.read(page(), steps=steps).facts

    whole = day(30_000, 100, 800).length
    assert "error" not in facts
    assert facts["closer"]["to"] - facts["closer"]["from"] < 0.6 * whole
    assert facts["later"]["from"] > facts["closer"]["from"]
    assert (facts["whole"]["from"], facts["whole"]["to"]) == (0, whole)
    assert facts["next"]["cursor"] == day(30_000, 100, 800).moments[2].at
    assert "pending pods" in facts["next"]["said"]
    assert facts["lane"]["selected"] == 1
    assert "node-00001" in facts["lane"]["said"]
    assert facts["heights"][0] > 100
    assert facts["nothing"]["cursor"] is None


def test_a_dark_browser_gets_a_dark_page(browser: Browser) -> None:
    """What the surroundings prefer is what they get; workloads are seen in both."""
    workloads = "#view=workloads"

    light = browser.read(page(3_000, 8, 64), at=workloads).facts["colours"]
    dark = browser.read(
        page(3_000, 8, 64), "--blink-settings=preferredColorScheme=0", at=workloads
    ).facts["colours"]

    assert light.get(RUNNING, 0) > 1_000
    assert dark.get(RUNNING_DARK, 0) > 1_000
    assert dark.get(GROUND_DARK, 0) > 10_000
    assert GROUND_DARK not in light
