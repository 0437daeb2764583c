"""Profiles, keys, kwokctl's configuration: everything before a process starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav.control_plane.assets import CONTROL_PLANE
from pytest_knav.control_plane.components import component_name
from pytest_knav.control_plane.config import ClusterConfig, make_config
from pytest_knav.control_plane.kwokctl import (
    PORT_NAMES,
    Kwokctl,
    component_commands,
    read_back,
)
from pytest_knav.control_plane.profiles import fast_profile, profile_named
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from pathlib import Path


def config(**how: Any) -> ClusterConfig:
    """Return the settings of a small cluster."""
    return make_config(versions={"etcd": "1"}, **{"nodes": 32, **how})


def kwokctl(directory: Path) -> Kwokctl:
    """Return a kwokctl whose binaries lie in a directory."""
    return Kwokctl(
        binaries={name: directory / name for name in CONTROL_PLANE},
        directory=directory / "kwok",
        kubeconfig=directory / "kubeconfig",
    )


@given(st.integers(min_value=1, max_value=20_000))
def test_renewals_of_the_fast_profile_are_bounded(nodes: int) -> None:
    """At most a hundred a second, at any size; grace is 1.25 leases, as in reality."""
    profile = fast_profile(nodes)

    assert nodes / profile.renew_interval_s <= 100
    assert profile.lease_s >= 8
    assert profile.monitor_grace_s == pytest.approx(1.25 * profile.lease_s)


def test_the_table_shows_real_beside_used() -> None:
    """Also the constants that no flag reaches."""
    table = {name: (real, used) for name, real, used in fast_profile(32).table()}

    assert table["node lease duration"] == ("40s", "8s")
    assert table["pod GC period"] == ("20s", "20s")


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ({"time_profile": "slow"}, "'slow' is unknown: use one of fast, real"),
        ({"control_plane": "big"}, "'big' is unknown: use one of plain, fast"),
        ({"feature_gates": {"X": 1}}, "feature_gates['X']=1"),
    ],
)
def test_wrong_settings_are_refused(how: Any, shown: str) -> None:
    """The message shows the value and the choices."""
    with pytest.raises(BadInput) as error:
        config(**how)

    assert shown in str(error.value)


def test_the_key_changes_with_what_only_a_new_control_plane_can_change() -> None:
    """And with nothing else."""
    keys = {
        config().key,
        config(time_profile="real").key,
        config(control_plane="fast").key,
        config(feature_gates={"GangScheduling": False}).key,
        config(nodes=1000).key,
    }

    assert len(keys) == 5
    assert config().key == config(nodes=31).key


def test_kwokctl_gets_every_trap_closed(tmp_path: Path) -> None:
    """Loopback, own ports, heartbeat factor 1, no leader election."""
    ports = {name: 20_000 + i for i, name in enumerate(PORT_NAMES)}

    text = kwokctl(tmp_path).render(config(), ports)

    document = yaml.safe_load(text)
    options = document["options"]
    patches = {
        p["name"]: {a["key"]: a["value"] for a in p["extraArgs"]}
        for p in document["componentsPatches"]
    }
    assert options["bindAddress"] == "127.0.0.1"
    assert options["heartbeatFactor"] == 1
    assert {name: options[name] for name in PORT_NAMES} == ports
    assert patches["kube-scheduler"]["leader-elect"] == "false"
    assert patches["kwok-controller"]["manage-all-nodes"] == "false"


def test_the_users_own_kwok_settings_are_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kwokctl takes defaults from KWOK_* and writes to KUBECONFIG."""
    monkeypatch.setenv("KWOK_KUBE_VERSION", "v1.20.0")
    monkeypatch.setenv("KUBECONFIG", "theirs")

    environment = kwokctl(tmp_path)._environment()

    assert "KWOK_KUBE_VERSION" not in environment
    assert "KUBECONFIG" not in environment
    assert environment["KWOK_WORKDIR"] == str(tmp_path / "kwok")


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("echo kwokctl version v0.5.2 go1.22", "kwokctl v0.5.2, at least 0.7.0"),
        ("echo what", "--version says 'what'"),
    ],
)
def test_an_old_or_strange_kwokctl_is_refused(
    tmp_path: Path, script: str, shown: str
) -> None:
    """The message has its path, its version and the oldest good one."""
    binary = tmp_path / "kwokctl"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)

    with pytest.raises(ClusterError) as error:
        kwokctl(tmp_path).check_version()

    assert shown in str(error.value)


def test_a_kwokctl_that_does_not_run_is_said(tmp_path: Path) -> None:
    """The message has the path."""
    with pytest.raises(ClusterError, match="kwokctl does not run"):
        kwokctl(tmp_path).check_version()


def test_flags_are_read_back_as_the_processes_have_them() -> None:
    """The last one wins; units do not matter; a difference is named."""
    profile = profile_named("fast", nodes=32)
    commands = {
        "kwok-controller": ["kwok", "--node-lease-duration-seconds=8"],
        "kube-controller-manager": [
            "kcm",
            "--node-monitor-period=5s",
            "--node-monitor-period=1000ms",
            "--node-monitor-grace-period=50s",
            "--horizontal-pod-autoscaler-sync-period=1s",
        ],
        "kube-apiserver": ["api", "--default-unreachable-toleration-seconds=5"],
    }

    differences = read_back(commands, profile)

    assert differences == [
        (
            "kube-controller-manager runs with --node-monitor-grace-period=50s, "
            "the profile says 10.0"
        )
    ]


def test_commands_come_from_what_kwokctl_wrote(tmp_path: Path) -> None:
    """Program first, then its arguments."""
    (tmp_path / "kwok.yaml").write_text(
        "kind: Stage\n---\nkind: KwokctlConfiguration\ncomponents:\n"
        "- {name: etcd, binary: /b/etcd, args: [--a=1]}\n"
    )

    assert component_commands(tmp_path) == {"etcd": ["/b/etcd", "--a=1"]}


def test_a_cluster_that_is_gone_is_said(tmp_path: Path) -> None:
    """The message has the file that is missing."""
    with pytest.raises(ClusterError, match=r"kwok\.yaml is missing"):
        component_commands(tmp_path)


def test_components_have_short_names() -> None:
    """And unknown ones are refused with the known ones."""
    assert component_name("kcm") == "kube-controller-manager"
    with pytest.raises(BadInput, match=r"'kubelet' is unknown: use one of etcd"):
        component_name("kubelet")
