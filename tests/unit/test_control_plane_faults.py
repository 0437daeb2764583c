"""Faults of the control plane: what they refuse, what they change, how they go back."""

from __future__ import annotations

import base64
import json
import random
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pytest_knav import faults
from pytest_knav.control_plane import certificates, kwokctl, overrides
from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.changes import (
    LeaseFreed,
    LeaseTaken,
    ObjectRef,
    Process,
    Replace,
    Setup,
    change_from_data,
    leader,
)
from pytest_knav.control_plane.config import ClusterConfig, make_config
from pytest_knav.control_plane.kubelets import Kubelets, given_up
from pytest_knav.control_plane.overrides import Override
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.history.connection import ApiError


if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM = random.Random(1)  # noqa: S311 - not for secrets
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
QUOTAS = "/api/v1/namespaces/default/resourcequotas"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


class Objects:
    """Objects by path, as far as these changes ask for them."""

    def __init__(self, **objects: Any) -> None:
        self.at: dict[str, Any] = dict(objects)
        self.writes: list[str] = []

    def get_or_none(self, path: str) -> Any:
        """Return an object, or None."""
        return self.at.get(path)

    def get(self, path: str) -> Any:
        """Return an object that is there, or a list of those below."""
        if path in self.at:
            return self.at[path]
        below = [v for k, v in self.at.items() if k.startswith(f"{path}/")]
        return {"items": below}

    def patch(self, path: str, body: Any) -> Any:
        """Set fields of the spec."""
        self.writes.append(f"patch {path}")
        self.at[path]["spec"].update(body["spec"])
        return {"metadata": {"resourceVersion": "2"}}

    def delete(self, path: str) -> Any:
        """Take an object away."""
        self.writes.append(f"delete {path}")
        return self.at.pop(path, None)

    def create(self, path: str, body: Any) -> Any:
        """Make an object that is not there."""
        name = f"{path}/{body['metadata']['name']}"
        if name in self.at:
            raise ApiRefusedError("POST", path, 409, "exists")
        self.writes.append(f"create {name}")
        self.at[name] = json.loads(json.dumps(body))
        return {"metadata": {"resourceVersion": "3"}}


class Patient:
    """A component without a process."""

    def __init__(self, name: str, pid: int = 10) -> None:
        self.name = name
        self.pid: int | None = pid
        self.running = True
        self.command = [name, "--feature-gates=A=true,B=false", "--kubeconfig=/k"]
        self.done: list[str] = []
        self.crashed = threading.Event()

    def healthy(self) -> bool:
        """Return whether it runs."""
        return self.running

    def wait_healthy(self) -> None:
        """Return at once."""

    def release(self) -> None:
        """Let it go on."""
        self.done.append("release")
        self.running = self.pid is not None

    def hold(self) -> None:
        """Hold it."""
        self.done.append("hold")
        self.running = False

    def restart(self, grace: str = "5s") -> None:
        """Run as another process."""
        assert grace
        self.done.append("restart")
        self.pid, self.running = (self.pid or 0) + 1, True

    def crash(self) -> None:
        """Be another process at once, as with a supervisor that is fast."""
        self.done.append("crash")
        self.pid = (self.pid or 0) + 1
        self.crashed.set()

    def kill(self) -> None:
        """Run no more."""
        self.done.append("kill")
        self.pid, self.running = None, False

    pause = hold
    resume = release


class Plane:
    """Components without processes, and objects."""

    def __init__(self, *, leader_election: bool = False, **objects: Any) -> None:
        names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
        self.components = {name: Patient(name) for name in (*names, "kwok-controller")}
        self.services: dict[str, Patient] = {}
        self.replaced: set[str] = set()
        self.beside: list[Patient] = []
        self.config = SimpleNamespace(leader_election=leader_election)
        self.api = Objects(**objects)

    @property
    def looked_after(self) -> list[Patient]:
        """Return what is started again when it dies: services are not."""
        return [*self.components.values(), *self.beside]

    def component(self, name: str) -> Patient:
        """Return a component or a service by its full name."""
        found = {**self.components, **self.services}
        short = {"scheduler": "kube-scheduler", "kwok": "kwok-controller"}
        if short.get(name, name) not in found:
            raise BadInput(f"component {name!r} is unknown")
        return found[short.get(name, name)]


class World:
    """A plane, and nothing recorded."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.history = SimpleNamespace(known_since={})


def resolved(fault: Any, plane: Plane) -> tuple[str, ...]:
    """Return what a fault would hit."""
    found: tuple[str, ...] = fault.resolve(World(plane), RANDOM)
    return found


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: faults.CrashLoop("scheduler", times=0), r"times=0\): give a whole"),
        (lambda: faults.SlowEtcd(stall="2s"), r"stall='2s'\): .*at most 1.5s"),
        (lambda: faults.SlowEtcd(share=1.0), r"share=1.0\): .*at most 0.95"),
        (lambda: faults.ComponentReplaced("scheduler"), "nothing is other"),
        (
            lambda: faults.ComponentReplaced("scheduler", flags={"--v": "4"}),
            "without dashes",
        ),
        (
            lambda: faults.ComponentReplaced("scheduler", config="kind: X"),
            "clientConnection",
        ),
        (
            lambda: faults.ComponentReplaced("kcm", binary="/none"),
            "there is no such file",
        ),
        (
            lambda: faults.CertificateExpired("kcm", valid_for="2m"),
            "valid_for='2m'.*at most 60s",
        ),
        (lambda: faults.WebhookDown("pods", operations="CREATE"), "give some of"),
        (lambda: faults.WebhookDown("pods", operations=("GET",)), r"\('GET',\)"),
        (
            lambda: faults.WebhookCertificateExpired("pods", operations=("GET",)),
            r"WebhookCertificateExpired\(operations=\('GET',\)\): give some of",
        ),
        (lambda: faults.PreemptingWork("a", priority_class=""), "give a PriorityClass"),
        (lambda: faults.PreemptingWork("a", scheduler=1), "scheduler=1"),
        (lambda: faults.QuotaChanged("default"), r"hard=\{\}\): give limits"),
        (lambda: faults.QuotaChanged("default", hard={"pods": 1}), "limits as text"),
        (lambda: faults.PriorityChanged("x", value=2_000_000_000), "1,000,000,000"),
    ],
)
def test_wrong_parameters_are_refused_when_they_are_given(
    make: Callable[[], object], said: str
) -> None:
    """With the value and what is allowed."""
    with pytest.raises(BadInput, match=said):
        make()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.SlowEtcd("scheduler"), "for etcd alone"),
        (faults.EtcdOutOfSpace("scheduler"), "for etcd alone"),
        (faults.WatchCacheExpired("etcd"), "for the apiserver alone"),
        (faults.LeaderLost("etcd"), "elects no leader"),
        (faults.LeaderLost("scheduler"), r"knav\(leader_election=True\)"),
        (faults.CertificateExpired("kwok"), "has no certificate"),
        (faults.ComponentReplaced("kwok", flags={"v": "1"}), "give one of etcd"),
        (faults.ComponentReplaced("etcd", config="{kubeconfig}"), "scheduler alone"),
    ],
)
def test_what_a_fault_is_not_for_is_refused(fault: Any, said: str) -> None:
    """Before anything changes."""
    with pytest.raises(BadInput, match=said):
        resolved(fault, Plane())


def test_a_service_can_be_killed_and_cannot_loop() -> None:
    """A service has the verbs of a component, but nobody starts it again."""
    plane = Plane()
    plane.services["metrics-server"] = Patient("metrics-server")
    kill = faults.ComponentKill("metrics-server")

    targets = resolved(kill, plane)

    assert [c.component for c in kill.changes(World(plane), targets)] == [
        "metrics-server"
    ]
    with pytest.raises(BadInput, match="a service, which nobody starts again"):
        faults.CrashLoop("metrics-server").changes(World(plane), targets)


class TestProcess:
    """Components that are killed, held, restarted."""

    def test_the_undo_of_a_service_that_is_not_there_is_harmless(self) -> None:
        """A journal is replayed by a process that has not made the service."""
        start = Process(component="metrics-server", verb="start")

        assert start.apply(Plane()) is None

    def test_a_start_finds_what_runs_already(self) -> None:
        """Whoever replays a journal twice restarts nothing."""
        plane = Plane()

        Process(component="etcd", verb="start").apply(plane)

        assert "restart" not in plane.components["etcd"].done

    @pytest.mark.parametrize("verb", ["crash", "restart"])
    def test_it_is_seen_by_another_process(self, verb: Any) -> None:
        """It runs before and after: what tells is who runs."""
        plane = Plane()
        change = Process(component="etcd", verb=verb, pid=10)

        before = change.seen(plane, None)
        change.apply(plane)

        assert (before, change.seen(plane, None)) == (False, True)

    @pytest.mark.parametrize("verb", ["kill", "pause", "crash", "restart", "stall"])
    def test_what_does_not_run_cannot_be_broken(self, verb: Any) -> None:
        """The message says what to do first."""
        plane = Plane()
        plane.components["etcd"].kill()

        with pytest.raises(BadInput, match="clear what holds it first"):
            Process(component="etcd", verb=verb).inverse(plane)

    def test_who_has_taken_the_place_of_a_component_is_named(self) -> None:
        """The stock one is not there to be broken."""
        plane = Plane()
        plane.components["kube-scheduler"].kill()
        plane.beside.append(Patient("volcano"))
        plane.replaced.add("kube-scheduler")

        with pytest.raises(BadInput, match="of the system, one of volcano"):
            Process(component="kube-scheduler", verb="kill").inverse(plane)


def test_a_process_of_a_system_can_die_again_and_again() -> None:
    """It is looked after like a component."""
    plane: Any = Plane()
    plane.services["volcano"] = Patient("volcano")
    plane.beside.append(plane.services["volcano"])

    (change,) = faults.CrashLoop("volcano").changes(World(plane), ("volcano",))

    assert (change.component, change.verb) == ("volcano", "crash")


def act(fault: Any, plane: Plane, until: threading.Event) -> None:
    """Let a fault act until something has happened."""
    stop = threading.Event()
    thread = threading.Thread(
        target=fault.act, args=(World(plane), TARGET, RANDOM, stop)
    )
    thread.start()
    happened = until.wait(30)
    stop.set()
    thread.join(30)
    assert happened
    assert not thread.is_alive()


TARGET = ["kube-scheduler"]


def test_a_loop_dies_again_when_it_was_healthy_for_a_while() -> None:
    """The first death is a change of its own."""
    plane = Plane()
    scheduler = plane.components["kube-scheduler"]

    act(faults.CrashLoop("scheduler", after="0s"), plane, scheduler.crashed)

    assert "crash" in scheduler.done


def test_a_loop_ends_after_the_number_of_deaths() -> None:
    """Three deaths: the one of the injection, and two more."""
    plane = Plane()
    fault = faults.CrashLoop("scheduler", times=3, after="0s")

    fault.act(World(plane), TARGET, RANDOM, threading.Event())  # type: ignore[arg-type]

    assert plane.components["kube-scheduler"].done.count("crash") == 2


def test_slow_etcd_always_goes_on() -> None:
    """However it ends, etcd is not left held."""
    plane = Plane()
    etcd = plane.components["etcd"]
    held = threading.Event()

    def hold() -> None:
        etcd.done.append("hold")
        held.set()

    etcd.hold = hold  # type: ignore[method-assign]

    act(faults.SlowEtcd(stall="1ms"), plane, held)

    assert etcd.done[-1] == "release"


class TestLeader:
    """A lease that another replica has."""

    LEASE = f"{LEASES}/kube-scheduler"

    def test_it_is_taken_and_given_back(self) -> None:
        """And the change and its way back read the same from the journal."""
        plane = Plane(**{self.LEASE: {"spec": {"holderIdentity": "me"}}})
        taken = LeaseTaken(component="kube-scheduler", pid=10)
        undo = taken.inverse(plane)

        taken.apply(plane)
        holder = leader.holder(plane, "kube-scheduler")
        for change in reversed(undo):
            again = change_from_data(json.loads(json.dumps(change.as_data())))
            again.apply(plane)

        assert holder == leader.OTHER
        assert leader.holder(plane, "kube-scheduler") == ""
        assert [type(change) for change in undo] == [Process, LeaseFreed]

    def test_it_is_seen_once_the_component_has_exited(self) -> None:
        """To write the lease is not enough."""
        plane = Plane(**{self.LEASE: {"spec": {"holderIdentity": "me"}}})
        own = plane.components["kube-scheduler"]
        own.pid = 1  # there is always such a process
        taken = LeaseTaken(component="kube-scheduler", pid=1)

        taken.apply(plane)
        before = taken.seen(plane, None)
        own.pid = 2

        assert (before, taken.seen(plane, None)) == (False, True)

    def test_a_lease_of_somebody_else_is_not_freed(self) -> None:
        """The component may have been elected before a journal is replayed."""
        plane = Plane(**{self.LEASE: {"spec": {"holderIdentity": "me"}}})

        LeaseFreed(component="kube-scheduler").apply(plane)
        leader.renew(plane, "kube-scheduler")

        assert plane.api.writes == []


class TestReplace:
    """Objects that are deleted and made again."""

    REF = ObjectRef(kind="PriorityClass", name="high")
    OLD: ClassVar = {"metadata": {"name": "high"}, "value": 1}
    NEW: ClassVar = {"metadata": {"name": "high"}, "value": 2}

    def test_there_and_back(self) -> None:
        """With what it was, but for what the server says of it."""
        old = {**self.OLD, "metadata": {"name": "high", "uid": "u"}}
        plane = Plane(**{f"{CLASSES}/high": old})
        change = Replace(ref=self.REF, body=self.NEW)
        (undo,) = change.inverse(plane)

        change.apply(plane)
        seen = change.seen(plane, SimpleNamespace(known_since={}))
        undo.apply(plane)

        assert seen
        assert plane.api.at[f"{CLASSES}/high"] == self.OLD

    def test_what_is_so_already_is_not_written(self) -> None:
        """Twice is harmless."""
        plane = Plane()
        change = Replace(ref=self.REF, body=self.NEW)

        change.apply(plane)
        change.apply(plane)

        assert len(plane.api.writes) == 1

    def test_a_kill_between_deletion_and_creation_loses_nothing(self) -> None:
        """The way back makes what is not there."""
        plane = Plane(**{f"{CLASSES}/high": dict(self.OLD)})
        (undo,) = Replace(ref=self.REF, body=self.NEW).inverse(plane)

        plane.api.delete(f"{CLASSES}/high")
        undo.apply(plane)

        assert plane.api.at[f"{CLASSES}/high"]["value"] == 1

    def test_what_was_not_there_goes(self) -> None:
        """A class that a fault brought."""
        plane = Plane()
        change = Replace(ref=self.REF, body=self.NEW)
        (undo,) = change.inverse(plane)

        change.apply(plane)

        assert undo.op == "delete"


class TestPolicies:
    """Quotas and priorities."""

    def test_a_namespace_without_a_quota_gets_one(self) -> None:
        """And its only one is changed, limit by limit."""
        fault = faults.QuotaChanged("default", hard={"pods": "1"})
        none = World(Plane(**{"/api/v1/namespaces/default": {}}))
        quota = {"metadata": {"name": "team"}, "spec": {"hard": {"pods": "9"}}}
        one = World(
            Plane(**{"/api/v1/namespaces/default": {}, f"{QUOTAS}/team": quota})
        )

        made = fault.changes(none, ["default"])
        changed = fault.changes(one, ["default"])

        assert [(c.op, str(c.ref)) for c in made] == [
            ("create", "ResourceQuota default/pytest-knav")
        ]
        assert [c.describe() for c in changed] == [
            'ResourceQuota default/team spec.hard.pods = "1"'
        ]

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ("none", "no namespace 'none'"),
            ("default/x", "default has a, b"),
            ("default", "default/a, default/b"),
        ],
    )
    def test_a_quota_that_is_not_clear_is_refused(self, target: str, said: str) -> None:
        """With those that there are."""
        there = {f"{QUOTAS}/{n}": {"metadata": {"name": n}} for n in "ab"}
        world = World(Plane(**{"/api/v1/namespaces/default": {}, **there}))

        with pytest.raises(BadInput, match=said):
            faults.QuotaChanged(target, hard={"pods": "1"}).changes(world, [target])

    def test_a_class_keeps_what_is_not_said(self) -> None:
        """Whether it is the default, and what it is described as."""
        old = {"metadata": {"name": "high"}, "value": 1, "globalDefault": True}
        world = World(Plane(**{f"{CLASSES}/high": old}))

        (change,) = faults.PriorityChanged("high", value=2).changes(world, ["high"])

        assert (change.body["value"], change.body["globalDefault"]) == (2, True)

    def test_classes_of_the_system_are_refused(self) -> None:
        """The API server would make them again."""
        with pytest.raises(BadInput, match="keeps system-node-critical"):
            faults.PriorityChanged("system-node-critical").changes(
                World(Plane()), ["system-node-critical"]
            )


class TestWebhook:
    """Webhooks that lead to nobody."""

    CORE: ClassVar = {"resources": [{"name": "pods"}, {"name": "pods/binding"}]}
    BATCH: ClassVar = {"preferredVersion": {"version": "v1"}}
    JOBS: ClassVar = {"resources": [{"name": "jobs"}]}

    def world(self, **more: Any) -> World:
        """Return a cluster that serves pods and Jobs."""
        served = {
            "/api/v1": self.CORE,
            "/apis/batch": self.BATCH,
            "/apis/batch/v1": self.JOBS,
        }
        return World(Plane(**served, **more))

    def test_resources_become_rules(self) -> None:
        """With their group, version and the operations."""
        fault = faults.WebhookDown(["pods/binding", "jobs.batch"])

        create, refusing = fault.changes(self.world(), ["jobs.batch", "pods/binding"])

        down, probe = create.body["webhooks"]
        assert [(r["apiGroups"], r["resources"]) for r in down["rules"]] == [
            (["batch"], ["jobs"]),
            ([""], ["pods/binding"]),
        ]
        assert down["failurePolicy"] == probe["failurePolicy"] == "Fail"
        assert refusing.op == "refusing"

    @pytest.mark.parametrize("target", ["podz", "jobs", "x.nowhere"])
    def test_what_is_not_served_is_refused(self, target: str) -> None:
        """With what the group has."""
        hooks = {f"{HOOKS}/kueue": {"metadata": {"name": "kueue"}}}

        with pytest.raises(BadInput, match=r"there are kueue\).*serves no such"):
            faults.WebhookDown(target).changes(self.world(**hooks), [target])

    def test_a_configuration_that_is_there_is_led_astray(self) -> None:
        """Each of its webhooks, and nothing else of it."""
        hooks = [{"name": n, "clientConfig": {"url": "https://a"}} for n in "ab"]
        world = self.world(**{f"{HOOKS}/kueue": {"webhooks": hooks}})

        changes = faults.WebhookDown("kueue").changes(world, ["kueue"])

        assert [c.way for c in changes] == [
            ("webhooks", {"name": name}, "clientConfig") for name in "ab"
        ]

    def test_authorities_of_a_configuration_end(self, tmp_path: Path) -> None:
        """The same name and key, long ago; the same bundle each time, for a journal."""
        cluster_files(tmp_path / "pki")
        pem = (tmp_path / "pki/ca.crt").read_bytes()
        bundle = base64.b64encode(pem).decode()
        hook = {"name": "a", "clientConfig": {"url": "https://a", "caBundle": bundle}}
        world = self.world(**{f"{HOOKS}/kueue": {"webhooks": [hook]}})
        fault = faults.WebhookCertificateExpired("kueue")

        (change,), (again,) = (fault.changes(world, ["kueue"]) for _ in range(2))

        before = x509.load_pem_x509_certificate(pem)
        ended = x509.load_pem_x509_certificate(base64.b64decode(change.value))
        assert change.way == ("webhooks", {"name": "a"}, "clientConfig", "caBundle")
        assert change.value == again.value
        assert (ended.subject, ended.public_key()) == (
            before.subject,
            before.public_key(),
        )
        assert ended.not_valid_after_utc < before.not_valid_before_utc

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"url": "https://a"}, "a has no caBundle"),
            ({"url": "https://a", "caBundle": "bm8="}, "caBundle cannot be read"),
        ],
    )
    def test_what_has_no_authority_is_refused(
        self, config: dict[str, str], said: str
    ) -> None:
        """Nothing of it could expire."""
        hooks = [{"name": "a", "clientConfig": config}]
        world = self.world(**{f"{HOOKS}/kueue": {"webhooks": hooks}})

        with pytest.raises(BadInput, match=said):
            faults.WebhookCertificateExpired("kueue").changes(world, ["kueue"])

    def test_a_configuration_without_webhooks_is_refused(self) -> None:
        """By its name."""
        world = self.world(**{f"{HOOKS}/kueue": {"webhooks": []}})

        with pytest.raises(BadInput, match="kueue has no webhooks"):
            faults.WebhookDown("kueue").changes(world, ["kueue"])


class TestReplaced:
    """Other settings of a component."""

    def test_gates_are_added_to_those_that_there_are(self) -> None:
        """What is not said stays."""
        fault = faults.ComponentReplaced(
            "scheduler", feature_gates={"B": True, "C": False}
        )

        (change,) = fault.changes(World(Plane()), TARGET)

        assert change.flags == {"feature-gates": "A=true,B=true,C=false"}

    def test_a_configuration_leads_to_the_api_server(self) -> None:
        """By the kubeconfig that the component has."""
        fault = faults.ComponentReplaced("scheduler", config="at: '{kubeconfig}'")

        (change,) = fault.changes(World(Plane()), TARGET)

        assert change.files == {"scheduler.yaml": "at: '/k'"}
        assert change.flags == {"config": "{dir}/scheduler.yaml"}
        assert isinstance(change, Setup)


class TestKubelets:
    """What KWOK gave up, read from its log."""

    def line(self, message: str, **more: str) -> bytes:
        """Return a line as KWOK writes it."""
        return json.dumps({"level": "ERROR", "msg": message, **more}).encode()

    def test_pods_and_nodes_are_found_once(self) -> None:
        """In order."""
        lines = [
            self.line("failed to apply stage", pod="default/a", node="n"),
            b"not JSON: failed to apply stage",
            self.line("failed to apply stage", node="n"),
            self.line("failed to apply stage", pod="default/a", node="n"),
            self.line("something else", pod="default/b"),
        ]

        assert given_up(lines) == [
            "/api/v1/namespaces/default/pods/a",
            "/api/v1/nodes/n",
        ]

    def test_what_would_never_be_taken_is_not_asked_for(self) -> None:
        """A pod that is gone, while another of its name may be there by now."""
        gone = self.line(
            "failed to apply stage", pod="default/a", err='pods "a" not found'
        )

        assert given_up([gone]) == []

    def test_what_kwok_tries_again_itself_is_left_to_it(self) -> None:
        """It says so in the next line."""
        lines = [
            self.line("failed to apply stage", pod="default/a"),
            self.line("retrying for failed job", pod="default/a"),
        ]

        assert given_up(lines) == []

    def test_it_asks_until_it_is_heard(self, tmp_path: Path) -> None:
        """For what is new in the log alone; an object that is gone needs nothing."""
        (tmp_path / "logs").mkdir()
        log = tmp_path / "logs/kwok-controller.log"
        gave_up = "failed to apply stage"
        log.write_bytes(self.line(gave_up, pod="default/before") + b"\n")
        transport = Refusing([ApiError(500, "", "etcd"), None, ApiError(404, "", "")])
        kubelets = Kubelets(
            SimpleNamespace(workdir=tmp_path, transport=lambda: transport)  # type: ignore[arg-type]
        )

        with log.open("ab") as file:
            file.write(self.line(gave_up, pod="default/a") + b"\n")
            file.write(self.line(gave_up, pod="default/b") + b"\n" + b"{half a line")
        for _ in range(3):
            kubelets.step()

        assert [path[-1] for path in transport.asked] == ["a", "a", "b"]


class Refusing:
    """A way to the API server with the answers that a test expects."""

    def __init__(self, answers: list[ApiError | None]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def patch(self, path: str, body: Any) -> None:
        """Answer."""
        assert body["metadata"]["annotations"]
        self.asked.append(path)
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer


class TestOverrides:
    """What a component is started with instead."""

    def test_given_flags_come_last(self, tmp_path: Path) -> None:
        """Of two the last one counts; `{dir}` is where the files are."""
        override = Override(flags={"v": "4", "config": "{dir}/c"}, files={"c": "text"})

        overrides.write(tmp_path, "etcd", override)
        command = overrides.command(tmp_path, "etcd", ["/b/etcd", "--v=1"])

        here = overrides.directory(tmp_path, "etcd")
        assert command == ["/b/etcd", "--v=1", "--v=4", f"--config={here}/c"]
        assert (here / "c").read_text() == "text"
        assert overrides.read(tmp_path, "etcd") == override

    def test_another_program_is_a_link_of_the_cluster(self, tmp_path: Path) -> None:
        """By its path the processes of a cluster are known."""
        (tmp_path / "bin").mkdir()

        overrides.write(tmp_path, "etcd", Override(binary="/next/etcd"))

        (program,) = overrides.command(tmp_path, "etcd", ["/b/etcd"])
        assert program.startswith(str(tmp_path))
        assert str(Path(program).readlink()) == "/next/etcd"

    def test_an_empty_one_leaves_nothing(self, tmp_path: Path) -> None:
        """Neither files nor links."""
        (tmp_path / "bin").mkdir()
        overrides.write(tmp_path, "etcd", Override(binary="/n", files={"c": "text"}))

        overrides.write(tmp_path, "etcd", Override())

        assert overrides.command(tmp_path, "etcd", ["/b/etcd"]) == ["/b/etcd"]
        assert [
            p for p in tmp_path.rglob("*") if not p.is_dir() or p.is_symlink()
        ] == []


class TestCertificates:
    """Certificates that are right in everything but their time."""

    def test_a_client_gets_one_that_ends(self, tmp_path: Path) -> None:
        """Same name, same key, signed by the same authority, another end."""
        workdir = tmp_path / "kwok"
        kubeconfig = cluster_files(workdir / "pki")
        command = ["kube-scheduler", f"--kubeconfig={kubeconfig}"]
        component = SimpleNamespace(name="kube-scheduler", command=command)

        made = certificates.expiring(workdir, component, 5.0)  # type: ignore[arg-type]

        old = x509.load_pem_x509_certificate((workdir / "pki/admin.crt").read_bytes())
        new = x509.load_pem_x509_certificate(made.files[certificates.FILE].encode())
        ca = x509.load_pem_x509_certificate((workdir / "pki/ca.crt").read_bytes())
        new.verify_directly_issued_by(ca)
        assert (new.subject, new.public_key()) == (old.subject, old.public_key())
        assert new.not_valid_after_utc < old.not_valid_after_utc
        told = yaml.safe_load(made.files["kubeconfig.yaml"])["users"][0]["user"]
        here = overrides.directory(workdir, "kube-scheduler")
        assert told["client-certificate"] == str(here / certificates.FILE)
        assert made.flags == {"kubeconfig": "{dir}/kubeconfig.yaml"}

    def test_a_component_without_a_kubeconfig_is_refused(self, tmp_path: Path) -> None:
        """Its certificate is not known."""
        component = SimpleNamespace(name="x", command=["x"])

        with pytest.raises(ClusterError, match="x has no --kubeconfig"):
            certificates.expiring(tmp_path, component, 1.0)  # type: ignore[arg-type]


def cluster_files(pki: Path) -> Path:
    """Make an authority, a client's certificate and a kubeconfig."""
    pki.mkdir(parents=True)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "admin")}
    for name, key in keys.items():
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2096, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(name == "ca", None), critical=True)
            .sign(keys["ca"], hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        (pki / f"{name}.crt").write_bytes(made.public_bytes(pem))
        (pki / f"{name}.key").write_bytes(
            key.private_bytes(
                pem,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    kubeconfig = pki / "kubeconfig"
    user = {"client-certificate": f"{pki}/admin.crt", "client-key": f"{pki}/admin.key"}
    kubeconfig.write_text(yaml.safe_dump({"users": [{"name": "a", "user": user}]}))
    return kubeconfig


def test_leader_election_is_a_part_of_the_key() -> None:
    """Only a new control plane can change it."""
    without = make_config(versions={}, nodes=4)
    with_it = make_config(versions={}, nodes=4, leader_election=True)
    real = make_config(versions={}, nodes=4, leader_election=True, time_profile="real")

    flags = [kwokctl._election(config) for config in (without, with_it, real)]

    assert len({without.key, with_it.key, real.key}) == 3
    assert ClusterConfig.from_data(with_it.as_data()) == with_it
    assert flags == [
        [("leader-elect", "false")],
        [("leader-elect", "true"), *kwokctl.FAST_ELECTION.items()],
        [("leader-elect", "true")],
    ]
