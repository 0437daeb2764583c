"""Systems as values: what they say, where they come from, how they are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pytest_knav import BadInput, Deployment, Gang, Job, Manifest, System, SystemProcess
from pytest_knav.systems import manifests, webhooks
from pytest_knav.systems.certificates import make_serving_files
from pytest_knav.systems.dialects import dressed, owner_of
from pytest_knav.systems.finding import called, find_system
from pytest_knav.systems.placeholders import fill
from pytest_knav.workloads.render import render


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "has neither a binary nor manifests"),
        ({"binary": "x", "processes": [SystemProcess("a", "x")]}, "not both"),
        (
            {"processes": [SystemProcess("a", "x"), SystemProcess("a", "y")]},
            "two processes of the name 'a'",
        ),
        ({"binary": "x", "dialect": "slurm"}, "dialect='slurm': use one of native"),
        ({"binary": "x", "replaces": ["etcd"]}, "replaces='etcd': use kube-scheduler"),
        ({"binary": "x", "webhooks": "yes"}, "webhooks='yes': give 'loopback'"),
        ({"binary": "x", "files": {"../x": ""}}, "a path within its directory"),
        ({"binary": "x", "args": "--one"}, "args='--one': give a list"),
        ({"binary": "x", "ready": "127.0.0.1:1"}, "give a URL such as"),
        ({"binary": "x", "manifests": "config"}, "manifests='config': give a list"),
        ({"binary": "x", "start_timeout": "soon"}, "start_timeout='soon'"),
        ({"binary": "x", "args": ["{port:A B}"]}, "name a port with lower-case"),
        ({"binary": "x", "mounts": {"etc": "x"}}, "'etc' is no absolute path"),
    ],
)
def test_a_wrong_system_fails_at_its_own_line(
    values: dict[str, Any], said: str
) -> None:
    """With the value and what to give."""
    with pytest.raises(BadInput) as caught:
        System("mine", **values)

    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["kube-scheduler", "etcd", "Upper", ""])
def test_a_process_needs_a_name_of_its_own(name: str) -> None:
    """None that the cluster has already, and one that can be a file's name."""
    with pytest.raises(BadInput, match=r"choose another one|as a name"):
        SystemProcess(name, "x")


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    """Ports by name, the process's own without one."""
    ports = {"": 1, "metrics": 2}
    values = {"dir": "/d", "kubeconfig": "/k", "certs": "/c", "server": "https://s"}

    text = fill(
        '{port} {port:metrics} {dir} {certs} {"a": {x}}', values, ports.__getitem__
    )

    assert text == '1 2 /d /c {"a": {x}}'


def test_another_build_is_another_system(tmp_path: Path) -> None:
    """Two builds at one path do not share a cluster; the same one does."""
    binary = tmp_path / "scheduler"
    binary.write_text("one")
    first = System("mine", binary=binary).digest
    same = System("mine", binary=binary).digest
    binary.write_text("the other")

    assert first == same
    assert System("mine", binary=binary).digest != first
    assert System("mine", binary=binary, args=["-v"]).digest != first


def test_a_yaml_file_holds_a_system(tmp_path: Path) -> None:
    """Paths are relative to the file; what comes from elsewhere stays."""
    path = tmp_path / "kueue.yaml"
    path.write_text(
        "name: kueue\n"
        "manifests: [config/default, 'https://example.org/x.yaml']\n"
        "dialect: kueue\n"
        "queue: team\n"
        "processes:\n"
        "- {name: kueue, binary: bin/kueue, args: ['--config={dir}/cfg.yaml']}\n"
        "- {name: other, binary: 'asset:kube-scheduler'}\n"
    )

    system = find_system("kueue.yaml", tmp_path)

    assert system is not None
    assert [p.binary for p in system.processes] == [
        str(tmp_path / "bin" / "kueue"),
        "asset:kube-scheduler",
    ]
    assert system.manifests == (
        str(tmp_path / "config" / "default"),
        "https://example.org/x.yaml",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nbinray: y\n", "line 2: binray: Extra inputs are not permitted"),
        ("name: X\nbinary: y\n", "lower-case letters"),
        ("name: x\nbinary: y\nargs: 3\n", "line 3: args: Input should be a valid list"),
        ("- x\n", "holds no fields"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    """And with the field."""
    (tmp_path / "x.yaml").write_text(text)

    with pytest.raises(BadInput) as caught:
        find_system("x.yaml", tmp_path)

    assert said in str(caught.value)


def test_a_python_file_holds_systems(tmp_path: Path) -> None:
    """The only one, one by its name, or what a function returns."""
    (tmp_path / "one.py").write_text(
        "from pytest_knav import System\nmine = System('mine', binary='x')\n"
    )
    (tmp_path / "two.py").write_text(
        "from pytest_knav import System\n"
        "a = System('a', binary='x')\nb = System('b', binary='x')\n"
        "def made():\n    return System('c', binary='x')\n"
    )
    names = [
        find_system(wanted, tmp_path)
        for wanted in ("one.py", "two.py:b", "two.py:made")
    ]

    assert [system.name for system in names if system] == ["mine", "b", "c"]
    with pytest.raises(BadInput, match=r"it has 2 Systems \(a, b\): say which"):
        find_system("two.py", tmp_path)
    with pytest.raises(BadInput, match="the file has no 'd'"):
        find_system("two.py:d", tmp_path)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("kueue", "give 'stock', the path of a .yaml file"),
        ("none.yaml", "there is no file"),
        (3, "system=3: give a System, a file"),
    ],
)
def test_what_is_no_system_is_refused(
    tmp_path: Path, wanted: object, said: str
) -> None:
    """With what it was and what can be given."""
    with pytest.raises(BadInput) as caught:
        find_system(wanted, tmp_path)

    assert said in str(caught.value)


def test_the_stock_scheduler_is_no_system(tmp_path: Path) -> None:
    """By its name, or by saying nothing."""
    assert find_system("stock", tmp_path) is None
    assert find_system(None, tmp_path) is None


def test_a_fixture_must_need_nothing() -> None:
    """It is asked when tests are collected, before any fixture runs."""

    def needy(tmp_path: Path) -> None:
        del tmp_path

    with pytest.raises(BadInput, match="takes arguments"):
        called(needy, "the fixture knav_system")
    with pytest.raises(BadInput, match="gives 3: give a System"):
        called(lambda: 3, "the fixture knav_system")


HOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {
        "name": "hook",
        "annotations": {"cert-manager.io/inject-ca-from": "x", "kept": "y"},
    },
    "webhooks": [
        {
            "name": "a",
            "clientConfig": {
                "service": {"name": "svc", "namespace": "sys", "path": "/validate"},
                "caBundle": "old",
            },
        },
        {"name": "b", "clientConfig": {"url": "https://example.org/x"}},
    ],
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.org"},
    "spec": {
        "conversion": {
            "strategy": "Webhook",
            "webhook": {
                "clientConfig": {
                    "service": {"name": "svc", "namespace": "sys", "path": "/convert"}
                }
            },
        }
    },
}


def test_webhooks_and_conversions_are_led_to_loopback() -> None:
    """The path stays, our authority stands in, other URLs are left alone."""
    hook = webhooks.led_to_loopback(HOOK, {"": "webhook"}, lambda _: 9443, "OURS")
    crd = webhooks.led_to_loopback(DEFINITION, {"svc": "conv"}, {"conv": 1}.get, "OURS")

    first, second = (w["clientConfig"] for w in hook["webhooks"])
    assert first == {"url": "https://127.0.0.1:9443/validate", "caBundle": "OURS"}
    assert second == {"url": "https://example.org/x"}
    assert hook["metadata"]["annotations"] == {"kept": "y"}
    config = crd["spec"]["conversion"]["webhook"]["clientConfig"]
    assert config == {"url": "https://127.0.0.1:1/convert", "caBundle": "OURS"}
    assert HOOK["webhooks"][0]["clientConfig"]["caBundle"] == "old"  # type: ignore[index]


def test_a_service_without_a_port_is_named() -> None:
    """When the mapping says none for it."""
    with pytest.raises(BadInput, match="calls the service 'svc'"):
        webhooks.led_to_loopback(HOOK, {"other": "x"}, lambda _: 1, "")


def test_serving_files_are_for_loopback_and_private(tmp_path: Path) -> None:
    """A key that only the user can read, a certificate for every name given."""
    files = make_serving_files(tmp_path / "certs", ["svc.sys.svc"])

    modes = {p.name: p.stat().st_mode & 0o777 for p in files.directory.iterdir()}
    assert modes == {"ca.crt": 0o600, "tls.crt": 0o600, "tls.key": 0o600}
    assert files.ca_bundle


def test_manifests_come_from_files_folders_and_objects(tmp_path: Path) -> None:
    """Lists are taken apart; empty documents are nothing."""
    widget = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    (tmp_path / "b.yaml").write_text(
        yaml.safe_dump_all([{**widget, "metadata": {"name": "b"}}, None])
    )
    (tmp_path / "a.json").write_text(
        '{"kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap",'
        ' "metadata": {"name": "c"}}]}'
    )

    found = manifests.read([widget, tmp_path, tmp_path / "b.yaml"], tmp_path)

    assert [item["metadata"]["name"] for item in found] == ["a", "c", "b", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("just text", "no object"),
        ("kind: ConfigMap\n", "has no apiVersion or no metadata.name"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, text: str, said: str) -> None:
    """By its file."""
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    with pytest.raises(BadInput, match=r"wrong\.yaml") as caught:
        manifests.read([path], tmp_path)

    assert said in str(caught.value)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And a folder without any."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(BadInput, match="there is no such file or folder"):
        manifests.read([tmp_path / "none"], tmp_path)
    with pytest.raises(BadInput, match=r"the folder has no \.yaml"):
        manifests.read([tmp_path / "empty"], tmp_path)


GANG = Gang("llama", replicas=3, gpus_per_pod=8, topology_key="example.org/rack")


def objects_of(dialect: str, **more: Any) -> list[dict[str, Any]]:
    """Return the gang as a system with a dialect gets it."""
    system = System("mine", binary="x", dialect=dialect, **more)
    return dressed(system, GANG, render(GANG, gpu_resource="nvidia.com/gpu"))


def pod_template(job: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a Job's pods."""
    found: dict[str, Any] = job["spec"]["template"]
    return found


def test_kueue_gets_a_suspended_job_in_a_queue() -> None:
    """No group of the stock scheduler; the rack is asked for by annotation."""
    (job,) = objects_of("kueue", queue="team")

    template = pod_template(job)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert job["spec"]["suspend"] is True
    assert template["metadata"]["annotations"] == {
        "kueue.x-k8s.io/podset-required-topology": "example.org/rack"
    }
    assert "schedulingGroup" not in template["spec"]
    with pytest.raises(BadInput, match="give queue="):
        objects_of("kueue")


@pytest.mark.parametrize(
    ("dialect", "version", "scheduler", "where", "key"),
    [
        (
            "volcano",
            "scheduling.volcano.sh/v1beta1",
            "volcano",
            "annotations",
            "scheduling.k8s.io/group-name",
        ),
        (
            "coscheduling",
            "scheduling.x-k8s.io/v1alpha1",
            "scheduler-plugins-scheduler",
            "labels",
            "scheduling.x-k8s.io/pod-group",
        ),
        (
            "kai",
            "scheduling.run.ai/v2alpha2",
            "kai-scheduler",
            "annotations",
            "pod-group-name",
        ),
    ],
)
def test_other_schedulers_get_their_own_group(
    dialect: str, version: str, scheduler: str, where: str, key: str
) -> None:
    """With all members, and pods that name it and their scheduler."""
    group, job = objects_of(dialect)

    template = pod_template(job)
    assert (group["apiVersion"], group["kind"]) == (version, "PodGroup")
    assert group["spec"]["minMember"] == 3
    assert template["metadata"][where][key] == "llama"
    assert template["spec"]["schedulerName"] == scheduler
    assert "schedulingGroup" not in template["spec"]


def test_jobset_gets_one_replicated_job_that_fails_whole() -> None:
    """It restarts all of it; its Job is what the handle looks at."""
    group, jobset = objects_of("jobset")

    (part,) = jobset["spec"]["replicatedJobs"]
    assert (group["kind"], jobset["kind"]) == ("PodGroup", "JobSet")
    assert part["template"]["spec"]["backoffLimit"] == 0
    assert "backoffLimitPerIndex" not in part["template"]["spec"]
    system = System("mine", binary="x", dialect="jobset")
    assert owner_of(system, GANG) == ("Job", "llama-workers-0")


def test_the_native_dialect_names_the_scheduler_alone() -> None:
    """And a workload's own choice wins; manifests stay as they are."""
    system = System("mine", binary="x", scheduler_name="packing")
    stock: Callable[..., Any] = lambda w: render(w, gpu_resource="g")  # noqa: E731

    group, job = dressed(system, GANG, stock(GANG))
    own = Job("own", scheduler_name="other")
    (kept,) = dressed(system, own, stock(own))
    (deployment,) = dressed(system, Deployment("web"), stock(Deployment("web")))
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "raw"}, "spec": {}}
    (manifest,) = dressed(system, Manifest(raw), [raw])

    assert group["kind"] == "PodGroup"
    assert pod_template(job)["spec"]["schedulerName"] == "packing"
    assert pod_template(kept)["spec"]["schedulerName"] == "other"
    assert pod_template(deployment)["spec"]["schedulerName"] == "packing"
    assert manifest == raw
