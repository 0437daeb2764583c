"""The exporter: what dcgm-exporter and kube-state-metrics would say of a history."""

from __future__ import annotations

import itertools
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_knav.control_plane import ports
from pytest_knav.history import History, Record
from pytest_knav.metrics import Exporter, GpuSignals, Source
from pytest_knav.metrics.exporter import GPU_PATH, KUBE_PATH, NIC_PATH
from pytest_knav.metrics.gpu_series import FAMILIES, GpuSeries, NoLoad, model_name
from pytest_knav.metrics.kube_series import KubeSeries
from pytest_knav.metrics.text import labels
from pytest_knav.topology import make_topology


NODE = "dgx-h100-0000"
LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(slots=True)
class Scene:
    """A cluster of two nodes, as a history and as the pages of its GPUs."""

    history: History = field(default_factory=History)
    signals: GpuSignals = field(default_factory=GpuSignals)
    now_s: float = 0.0
    load: Any = field(default_factory=NoLoad)
    series: GpuSeries = field(init=False)

    def __post_init__(self) -> None:
        self.series = GpuSeries(
            make_topology("dgx-h100", 2),
            self.signals,
            self,
            lambda node: "dead" not in node["metadata"].get("labels", {}),
        )

    def gpu_percent(
        self, pod: tuple[str, str] | None, node: str, gpu: int, now_s: float
    ) -> float | None:
        """Ask whoever is the load now."""
        percent: float | None = self.load.gpu_percent(pod, node, gpu, now_s)
        return percent

    def put(self, kind: str, name: str, **parts: Any) -> None:
        """Add an object."""
        labelled = {"labels": parts.pop("labels", {})}
        namespace = "" if kind == "Node" else "default"
        metadata = {"name": name, "namespace": namespace, "uid": name, **labelled}
        metadata |= parts.pop("metadata", {})
        self._add(kind, name, "ADDED", {"metadata": metadata, **parts})

    def gone(self, kind: str, name: str) -> None:
        """Delete an object."""
        self._add(kind, name, "DELETED", None)

    def pod(self, name: str, gpus: int, *, node: str = NODE, **status: str) -> None:
        """Add a pod that holds GPUs of a node."""
        limits = {"limits": {"nvidia.com/gpu": str(gpus)}}
        spec = {"nodeName": node, "containers": [{"name": "c", "resources": limits}]}
        self.put("Pod", name, spec=spec, status={"phase": "Running", **status})

    def gpus(self, metric: str) -> dict[tuple[str, str], tuple[dict[str, str], float]]:
        """Return labels and value of a metric, by node and index of the GPU."""
        found = lines(self.series.text(self.history, self.now_s), metric)
        return {(own["Hostname"], own["gpu"]): (own, value) for own, value in found}

    def value(self, metric: str, gpu: int = 0) -> float:
        """Return the value of a metric of a GPU of the first node."""
        return self.gpus(metric)[NODE, str(gpu)][1]

    def _add(self, kind: str, name: str, verb: str, data: Any) -> None:
        self.history.add(
            Record(
                revision=self.history.newest_revision + 1,
                monotonic=0.0,
                wall=0.0,
                verb=verb,
                kind=kind,
                namespace="",
                name=name,
                uid=name,
                data=data,
            )
        )


def lines(text: str, metric: str) -> list[tuple[dict[str, str], float]]:
    """Return the samples of a metric: labels and value."""
    found = [LINE.fullmatch(line) for line in text.splitlines() if line[0] != "#"]
    return [
        (dict(LABEL.findall(match[2])), float(match[3]))
        for match in found
        if match and match[1] == metric
    ]


@pytest.fixture
def scene() -> Scene:
    """Return a cluster of two nodes without pods."""
    made = Scene()
    for node in (NODE, "dgx-h100-0001"):
        made.put("Node", node)
    return made


class TestGpuSeries:
    """GPUs as dcgm-exporter shows them."""

    def test_labels_of_a_free_gpu(self, scene: Scene) -> None:
        """A GPU that nobody holds has no labels of a pod."""
        own, value = scene.gpus("DCGM_FI_DEV_GPU_UTIL")[NODE, "3"]

        assert list(own) == ["gpu", "UUID", "device", "modelName", "Hostname"]
        assert own["UUID"] == make_topology("dgx-h100", 2).gpu(f"{NODE}/gpu-3").uuid
        assert own["device"] == "nvidia3"
        assert own["modelName"] == "NVIDIA H100 80GB HBM3"
        assert value == 0

    def test_labels_of_a_held_gpu(self, scene: Scene) -> None:
        """A GPU that a pod holds is labelled with it, in each of its series."""
        scene.pod("train", 2)

        text = scene.series.text(scene.history, 0.0)

        for family in FAMILIES:
            held = [own for own, _ in lines(text, family.name) if "pod" in own]
            assert {own["gpu"] for own in held} == {"0", "1"}, family.name
            assert {own["pod"] for own in held} == {"train"}
            assert {own["container"] for own in held} == {"c"}
            assert {own["namespace"] for own in held} == {"default"}

    def test_a_family_comes_in_one_piece(self, scene: Scene) -> None:
        """The text format wants all samples of a metric together, below its type."""
        text = scene.series.text(scene.history, 0.0)
        samples = [line for line in text.splitlines() if line[0] != "#"]
        names = [line.partition("{")[0] for line in samples]

        changes = sum(a != b for a, b in itertools.pairwise(names))

        assert changes == len(FAMILIES) - 1

    def test_a_pod_keeps_its_gpus(self, scene: Scene) -> None:
        """GPUs of a pod that ended are given to the next; the others do not move."""
        scene.pod("first", 2)
        scene.pod("second", 2)
        before = scene.gpus("DCGM_FI_DEV_GPU_UTIL")
        scene.gone("Pod", "first")
        scene.gpus("DCGM_FI_DEV_GPU_UTIL")
        scene.pod("third", 3)

        after = scene.gpus("DCGM_FI_DEV_GPU_UTIL")

        holders = [own.get("pod") for own, _ in before.values()][:5]
        assert holders == ["first", "first", "second", "second", None]
        holders = [own.get("pod") for own, _ in after.values()][:6]
        assert holders == ["third", "third", "second", "second", "third", None]

    def test_a_finished_pod_holds_nothing(self, scene: Scene) -> None:
        """A kubelet gives the devices of a pod back when it has ended."""
        scene.pod("done", 8, phase="Succeeded")

        assert "pod" not in scene.gpus("DCGM_FI_DEV_GPU_UTIL")[NODE, "0"][0]

    def test_a_held_gpu_is_busy(self, scene: Scene) -> None:
        """Without a profile a running pod keeps its GPUs busy: power, memory, heat."""
        idle = {family.name: scene.value(family.name) for family in FAMILIES}
        scene.pod("train", 1)

        busy = {family.name: scene.value(family.name) for family in FAMILIES}

        assert busy["DCGM_FI_DEV_GPU_UTIL"] == 100
        assert busy["DCGM_FI_PROF_GR_ENGINE_ACTIVE"] == 1
        assert busy["DCGM_FI_DEV_POWER_USAGE"] == 700
        assert 0 < idle["DCGM_FI_DEV_POWER_USAGE"] < 100
        assert busy["DCGM_FI_DEV_GPU_TEMP"] > idle["DCGM_FI_DEV_GPU_TEMP"]
        assert busy["DCGM_FI_DEV_FB_USED"] > idle["DCGM_FI_DEV_FB_USED"] == 0
        for values in (idle, busy):
            memory = values["DCGM_FI_DEV_FB_USED"] + values["DCGM_FI_DEV_FB_FREE"]
            assert memory == 81559

    def test_a_starting_pod_holds_gpus_idly(self, scene: Scene) -> None:
        """A pod that does not run yet does not compute."""
        scene.pod("train", 1, phase="Pending")

        own, percent = scene.gpus("DCGM_FI_DEV_GPU_UTIL")[NODE, "0"]

        assert (own["pod"], percent) == ("train", 0)

    def test_load_follows_its_profile(self, scene: Scene) -> None:
        """What a profile says is served, and asked anew each time."""

        class Load:
            def gpu_percent(self, pod: Any, node: str, gpu: int, now_s: float) -> Any:
                return now_s + gpu if (pod, node) == (("default", "t"), NODE) else None

        scene.load = Load()
        scene.pod("t", 2)

        scene.now_s = 10
        first = [scene.value("DCGM_FI_DEV_GPU_UTIL", gpu) for gpu in range(3)]
        scene.now_s = 20
        later = scene.value("DCGM_FI_DEV_GPU_UTIL")

        assert first == [10, 11, 0]
        assert later == 20

    def test_counters_grow_with_time(self, scene: Scene) -> None:
        """Energy is power times time, in mJ; NVLink traffic stops with its link."""
        energy, nvlink = FAMILIES[-2].name, FAMILIES[-1].name
        scene.pod("train", 1)
        scene.value(energy)
        scene.now_s = 10
        after = scene.value(energy), scene.value(nvlink)
        scene.signals.change(NODE, 0, nvlink_down=True)
        scene.value(energy)
        scene.now_s = 20

        later = scene.value(energy), scene.value(nvlink)

        assert after[0] == 700 * 10 * 1000
        assert later[0] == 2 * after[0]
        assert later[1] == after[1] > 0

    def test_signals_of_a_fault(self, scene: Scene) -> None:
        """A fault's signals are served for its GPU, and taken back."""
        scene.pod("train", 1)
        before = scene.signals.change(
            NODE, 0, xid=79, temperature_c=96.0, power_cap_w=300.0, remap_failure=True
        )

        own, xid = scene.gpus("DCGM_FI_DEV_XID_ERRORS")[NODE, "0"]

        assert (xid, own["err_code"]) == (79, "79")
        assert own["err_msg"] == "GPU has fallen off the bus"
        assert scene.value("DCGM_FI_DEV_GPU_TEMP") == 96
        assert scene.value("DCGM_FI_DEV_POWER_USAGE") == 300
        assert scene.value("DCGM_FI_DEV_ROW_REMAP_FAILURE") == 1
        assert scene.value("DCGM_FI_DEV_XID_ERRORS", gpu=1) == 0
        scene.signals.put(NODE, 0, before)
        assert scene.value("DCGM_FI_DEV_XID_ERRORS") == 0

    def test_a_lost_gpu_has_no_series(self, scene: Scene) -> None:
        """What the driver does not see, dcgm-exporter does not show."""
        scene.signals.change(NODE, 5, lost=True)

        found = scene.gpus("DCGM_FI_DEV_XID_ERRORS")

        assert (NODE, "5") not in found
        assert len(found) == 15

    def test_a_dead_node_has_no_series(self, scene: Scene) -> None:
        """Its exporter is dead as well; when it comes back, so do they."""
        scene.put("Node", NODE, labels={"dead": ""})
        dead = scene.gpus("DCGM_FI_DEV_GPU_UTIL")
        scene.put("Node", NODE)
        alive = scene.gpus("DCGM_FI_DEV_GPU_UTIL")
        scene.gone("Node", NODE)

        assert {node for node, _ in dead} == {"dgx-h100-0001"}
        assert len(alive) == 16
        assert len(scene.gpus("DCGM_FI_DEV_GPU_UTIL")) == 8

    @pytest.mark.parametrize(
        ("product", "name"),
        [
            ("NVIDIA-H100-80GB-HBM3", "NVIDIA H100 80GB HBM3"),
            ("NVIDIA-A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB"),
            ("NVIDIA-GB200", "NVIDIA GB200"),
        ],
    )
    def test_names_of_models(self, product: str, name: str) -> None:
        """They are the driver's, not those of GPU feature discovery."""
        assert model_name(product) == name


class TestKubeSeries:
    """Objects as kube-state-metrics shows them."""

    def test_pod(self, scene: Scene) -> None:
        """Each phase and each state of Ready is a series; one of them is 1."""
        ready = {"type": "Ready", "status": "True"}
        scene.put("Pod", "p", status={"phase": "Running", "conditions": [ready]})

        text = KubeSeries().text(scene.history)

        phases = {o["phase"]: v for o, v in lines(text, "kube_pod_status_phase")}
        assert phases == {
            "Pending": 0, "Running": 1, "Succeeded": 0, "Failed": 0, "Unknown": 0,
        }  # fmt: skip
        states = {o["condition"]: v for o, v in lines(text, "kube_pod_status_ready")}
        assert states == {"true": 1, "false": 0, "unknown": 0}

    def test_node(self, scene: Scene) -> None:
        """Conditions, cordon and taints."""
        taint = {"key": "a/b", "effect": "NoExecute"}
        unknown = {"type": "Ready", "status": "Unknown"}
        scene.put(
            "Node",
            NODE,
            spec={"unschedulable": True, "taints": [taint]},
            status={"conditions": [unknown]},
        )

        text = KubeSeries().text(scene.history)

        conditions = lines(text, "kube_node_status_condition")
        assert {o["status"]: v for o, v in conditions} == {
            "true": 0, "false": 0, "unknown": 1,
        }  # fmt: skip
        cordons = lines(text, "kube_node_spec_unschedulable")
        assert {o["node"]: v for o, v in cordons} == {NODE: 1, "dgx-h100-0001": 0}
        ((own, _),) = lines(text, "kube_node_spec_taint")
        assert own == {"node": NODE, "key": "a/b", "value": "", "effect": "NoExecute"}

    def test_job(self, scene: Scene) -> None:
        """Numbers of pods, and the reason of a failure."""
        failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        scene.put("Job", "j", status={"active": 2, "succeeded": 1})
        scene.put("Job", "k", status={"failed": 7, "conditions": [failed]})

        text = KubeSeries().text(scene.history)

        active = lines(text, "kube_job_status_active")
        assert {o["job_name"]: v for o, v in active} == {"j": 2, "k": 0}
        reasons = {
            o["reason"]: v
            for o, v in lines(text, "kube_job_status_failed")
            if o["job_name"] == "k"
        }
        assert reasons == {
            "BackoffLimitExceeded": 1, "DeadlineExceeded": 0, "Evicted": 0,
        }  # fmt: skip
        assert ({"namespace": "default", "job_name": "k", "condition": "true"}, 1) in (
            lines(text, "kube_job_failed")
        )

    def test_what_changes_and_goes(self, scene: Scene) -> None:
        """The next page shows it."""
        series = KubeSeries()
        scene.put("Pod", "p", status={"phase": "Pending"})
        series.text(scene.history)
        scene.put("Pod", "p", status={"phase": "Running"})
        changed = lines(series.text(scene.history), "kube_pod_status_phase")
        scene.gone("Pod", "p")

        gone = lines(series.text(scene.history), "kube_pod_status_phase")

        assert [own["phase"] for own, value in changed if value] == ["Running"]
        assert not gone


def test_labels_are_escaped() -> None:
    """Quotes, backslashes and line ends would end the label or the line."""
    assert labels(("a", 'x"\\\n')) == r'a="x\"\\\n"'


def test_exporter_over_http(
    scene: Scene, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves both pages, nothing else, and nothing without a source."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (port,) = ports.reserve("test", 1)
    exporter = Exporter(port)
    open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def status(path: str) -> int:
        try:
            with open_url(f"http://127.0.0.1:{port}{path}") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain")
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    exporter.start()
    try:
        without = status(GPU_PATH)
        exporter.serve(
            Source(
                topology=make_topology("dgx-h100", 1),
                history=lambda: scene.history,
                signals=scene.signals,
                load=NoLoad(),
                served=bool,
            )
        )
        pages = (GPU_PATH, KUBE_PATH, NIC_PATH, "/metrics")
        found = [status(path) for path in pages]
    finally:
        exporter.close()

    assert without == 503
    assert found == [200, 200, 200, 404]
    with pytest.raises(OSError, match="refused"):
        status(GPU_PATH)
