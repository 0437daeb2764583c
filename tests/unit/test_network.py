"""Connections between components: their names, their proxies, their requests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pytest_knav import BadInput, between
from pytest_knav.control_plane.changes import (
    NoRequestRule,
    RequestRule,
    Toxics,
    change_from_data,
)
from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.kwokctl import Kwokctl
from pytest_knav.control_plane.network import http_layer, toxiproxy
from pytest_knav.control_plane.network.layer import messages
from pytest_knav.control_plane.network.layer.held import Held
from pytest_knav.control_plane.network.layer.rules import Asked, Rule, asked
from pytest_knav.control_plane.network.links import LINKS, OF_COMPONENTS, link_named
from pytest_knav.control_plane.network.network import Wiring, wiring_of
from pytest_knav.faults import ApiErrors, Bandwidth, BlackHole, Latency, StaleWatch
from pytest_knav.faults.expressions import parse_target


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SCHEDULER = "kube-scheduler->kube-apiserver"
CHUNKS = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
NUMBERS = {"kubeApiserverPort": 6443, "etcdPort": 2379}


def wiring(workdir: Path = Path("/clusters/one")) -> Wiring:
    """Return a wiring with ports from 100 on."""
    names = [toxiproxy.NAME, http_layer.NAME, *(link.name for link in LINKS)]
    return wiring_of(workdir, {name: 100 + i for i, name in enumerate(names)}, NUMBERS)


def world(network: object = None) -> Any:
    """Return a world whose cluster may have proxies."""
    entry = SimpleNamespace(name="one")
    plane = SimpleNamespace(network=network, entry=entry, services={}, companions=[])
    return SimpleNamespace(plane=plane)


class TestLinks:
    """What a target can name."""

    def test_between_is_the_same_in_either_order(self) -> None:
        """Who opens the connection is not for the user to know."""
        names = {
            between(*pair).resolve(world(), None, "connection")  # type: ignore[arg-type]
            for pair in (("scheduler", "apiserver"), ("kube-apiserver", "scheduler"))
        }

        assert names == {(SCHEDULER,)}

    def test_a_saved_expression_reads_as_the_same(self) -> None:
        """What a plan prints, it reads again."""
        text = str(between("kcm", "apiserver"))

        again = parse_target(text)

        assert (str(again), again.kind) == (text, "connection")

    @pytest.mark.parametrize("pair", [("scheduler", "etcd"), ("kcm", "kcm")])
    def test_who_does_not_speak_has_no_connection(self, pair: tuple[str, str]) -> None:
        """The message names the pairs that do."""
        with pytest.raises(BadInput, match=r"use one of between\(apiserver, etcd\)"):
            between(*pair)

    def test_an_unknown_name_is_refused_with_the_pairs(self) -> None:
        """So is one in an old journal."""
        with pytest.raises(BadInput, match="'a->b' is unknown: use one of between"):
            link_named("a->b")


class TestWiring:
    """How components are led to their proxies."""

    def test_every_component_is_led_to_a_proxy_of_its_own(self, tmp_path: Path) -> None:
        """In place of kwokctl's flags, so that no way around is left."""
        wires = wiring(tmp_path)
        names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
        paths = {n: Path("/bin") / n for n in (*names, "kwok", "kubectl", "kwokctl")}
        config = make_config(versions={}, nodes=4, network=True)

        text = Kwokctl(binaries=paths, directory=tmp_path, kubeconfig=tmp_path).render(
            config, {}, wires
        )

        replaced = {
            (part["name"], argument["key"]): argument["value"]
            for part in yaml.safe_load(text)["componentsPatches"]
            for argument in part["extraArgs"]
            if argument.get("override")
        }
        port = wires.ports[LINKS[0].name]
        assert replaced.pop(("kube-apiserver", "etcd-servers")).endswith(f":{port}")
        assert len(set(replaced.values())) == len(replaced) == len(OF_COMPONENTS) - 1

    def test_a_kubeconfig_leads_to_the_proxy_and_no_further(
        self, tmp_path: Path
    ) -> None:
        """The API server's own port is in none of them."""
        wires = wiring(tmp_path)

        wires.write(Path("/bin/true"))

        text = wires.kubeconfig("kube-scheduler").read_text()
        assert f"https://127.0.0.1:{wires.ports[SCHEDULER]}" in text
        assert "6443" not in text

    def test_a_component_that_goes_around_its_proxy_is_named(self) -> None:
        """A fault of its connection would hit nothing."""
        wires = wiring()
        commands = {
            client: ["program", f"--{flag}={value}"]
            for client, flag, value in wires.arguments()
        }
        assert wires.differences(commands) == []

        commands["kube-scheduler"] = ["program", "--kubeconfig=/elsewhere"]

        assert "kube-scheduler" in wires.differences(commands)[0]

    def test_a_cluster_with_proxies_is_of_another_key(self) -> None:
        """No test without them gets it."""
        plain, with_proxies = (
            make_config(versions={}, nodes=4, network=on) for on in (False, True)
        )

        assert plain.key != with_proxies.key


class TestFaults:
    """What faults of connections take."""

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda t: Latency(t, "1ms"), "give 2 ms to 10 s"),
            (lambda t: Latency(t, "50ms", "1s"), "give at most the latency"),
            (lambda t: Bandwidth(t, 0), "from 20 to 10000"),
            (lambda t: ApiErrors(t, 404), "use one of 429, 500, 503"),
            (lambda t: ApiErrors(t, share=0), "from 0.01 to 1"),
            (lambda t: ApiErrors(t, verbs=("bind",)), "'bind' is none: use get"),
            (lambda t: ApiErrors(t, resources="pods"), "give a tuple"),
            (lambda t: ApiErrors(t, retry_after="1.5s"), "whole seconds"),
            (lambda t: StaleWatch(t, delay=0), "more than 0"),
        ],
    )
    def test_bad_parameters_are_refused(self, make: Any, message: str) -> None:
        """With the value and what is allowed."""
        with pytest.raises(BadInput, match=message):
            make(between("scheduler", "apiserver"))

    def test_a_cluster_without_proxies_is_refused_with_the_mark(self) -> None:
        """Nothing is changed then."""
        fault = BlackHole(between("scheduler", "apiserver"))

        with pytest.raises(BadInput, match=r"knav\(network=True\)"):
            fault.resolve(world(), None)  # type: ignore[arg-type]

    def test_requests_of_etcd_cannot_be_told_apart(self) -> None:
        """It speaks gRPC; the message says which faults there are for it."""
        fault = ApiErrors(between("apiserver", "etcd"))

        with pytest.raises(BadInput, match="use Latency"):
            fault.resolve(world(object()), None)  # type: ignore[arg-type]

    def test_latency_is_shared_by_both_directions(self) -> None:
        """A round trip takes all of it."""
        fault = Latency(between("kcm", "apiserver"), "300ms", "100ms")

        (change,) = fault.changes(world(), ["kube-controller-manager->kube-apiserver"])

        assert isinstance(change, Toxics)
        assert change.attributes == {"latency": 150, "jitter": 50}

    def test_only_a_dead_way_to_etcd_blinds_the_recorder(self) -> None:
        """It reads from the API server directly."""
        fault = BlackHole(between("kcm", "apiserver"))

        assert fault.blinds([LINKS[0].name])
        assert not fault.blinds([SCHEDULER])

    def test_its_changes_are_the_same_from_the_journal(self) -> None:
        """Also what takes them back."""
        fault = StaleWatch(between("scheduler", "apiserver"), "5s", resources=["pods"])
        (change,) = fault.changes(world(), [SCHEDULER])
        assert isinstance(change, RequestRule)

        undo = change.inverse(world().plane)

        assert undo == [NoRequestRule(link=SCHEDULER, signal="connection")]
        assert change_from_data(change.as_data()) == change


class TestRequests:
    """How requests are told apart."""

    @pytest.mark.parametrize(
        ("method", "target", "verb", "resource"),
        [
            ("GET", "/api/v1/pods?limit=1", "list", "pods"),
            ("GET", "/api/v1/pods?watch=true", "watch", "pods"),
            ("GET", "/api/v1/namespaces/a/pods/b", "get", "pods"),
            ("POST", "/api/v1/namespaces/a/pods/b/binding", "create", "pods/binding"),
            ("PATCH", "/api/v1/nodes/n/status", "patch", "nodes/status"),
            ("DELETE", "/apis/batch/v1/namespaces/a/jobs", "deletecollection", "jobs"),
            ("GET", "/api/v1/namespaces", "list", "namespaces"),
            ("GET", "/api/v1/namespaces/a", "get", "namespaces"),
            ("PUT", "/api/v1/namespaces/a/finalize", "update", "namespaces/finalize"),
            ("GET", "/version", "get", ""),
            ("GET", "/apis/apps/v1", "get", ""),
        ],
    )
    def test_a_request_is_named_in_the_words_of_rbac(
        self, method: str, target: str, verb: str, resource: str
    ) -> None:
        """As the API server's own RequestInfo does it."""
        found = asked(method, target)

        assert (found.verb, found.resource) == (verb, resource)

    def test_a_rule_is_about_what_it_names(self) -> None:
        """A resource does not stand for its subresources, as in RBAC."""
        rule = Rule(kind="errors", verbs=("create",), resources=("pods",))

        assert rule.refuses(Asked(verb="create", resource="pods"))
        assert not rule.refuses(Asked(verb="create", resource="pods/binding"))
        assert not rule.refuses(Asked(verb="update", resource="pods"))

    def test_a_share_of_requests_is_refused_by_the_seed(self) -> None:
        """The same ones each time, and about as many as were asked for."""
        one, other = (Rule(kind="errors", share=0.3, seed="a") for _ in range(2))
        what = Asked(verb="get", resource="pods")

        first = [one.refuses(what) for _ in range(1_000)]

        assert first == [other.refuses(what) for _ in range(1_000)]
        assert 250 < sum(first) < 350

    def test_a_refusal_says_when_to_come_again(self) -> None:
        """Else client-go would not try again by itself."""
        text = Rule(kind="errors", status=429, retry_after_s=2).answer()

        assert text.startswith(b"HTTP/1.1 429 TooManyRequests\r\n")
        assert b"\r\nRetry-After: 2\r\n" in text


async def until(question: Callable[[], bool]) -> None:
    """Return when a question is answered with yes."""
    async with asyncio.timeout(10):
        while not question():  # noqa: ASYNC110 - what is asked has no event
            await asyncio.sleep(0)


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    """Yield pieces."""
    for piece in pieces:
        yield piece


class TestHeld:
    """What a watch that is held back delivers."""

    def test_nothing_comes_before_the_rule_is_over(self) -> None:
        """And then all of it, in order."""

        async def run() -> tuple[list[bytes], list[bytes]]:
            rule, written = Rule(kind="stale"), list[bytes]()

            async def write(piece: bytes) -> None:
                written.append(piece)

            held = Held(rule, initial=False)
            relaying = asyncio.ensure_future(held.relay(pieces_of(b"a", b"b"), write))
            await until(lambda: held.bytes == 2)
            before = list(written)
            rule.over.set()
            await relaying
            return before, written

        assert asyncio.run(run()) == ([], [b"a", b"b"])

    def test_the_list_at_the_beginning_is_not_held_back(self) -> None:
        """Also where its end is cut into two pieces."""

        async def run() -> list[bytes]:
            rule, written = Rule(kind="stale"), list[bytes]()

            async def write(piece: bytes) -> None:
                written.append(piece)

            held = Held(rule, initial=True)
            body = pieces_of(b"pod", b"..k8s.io/initial-ev", b"ents-end..", b"later")
            relaying = asyncio.ensure_future(held.relay(body, write))
            await until(lambda: held.bytes == 5)
            relaying.cancel()
            return written

        assert asyncio.run(run())[-1] == b"ents-end.."

    def test_a_delay_ends_by_itself(self) -> None:
        """Without the rule being over."""

        async def run() -> list[bytes]:
            written = list[bytes]()

            async def write(piece: bytes) -> None:
                written.append(piece)

            await Held(Rule(kind="stale", delay_s=0.01), initial=False).relay(
                pieces_of(b"a"), write
            )
            return written

        assert asyncio.run(run()) == [b"a"]


class TestMessages:
    """How far a message goes."""

    @pytest.mark.parametrize(
        ("text", "body"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcX", b"abc"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%bX" % CHUNKS,
                CHUNKS,
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nabcX", b"abcX"),
        ],
    )
    def test_a_body_ends_where_its_head_says(self, text: bytes, body: bytes) -> None:
        """By its length, by its last chunk, or with the connection."""

        async def run() -> bytes:
            reader = asyncio.StreamReader()
            reader.feed_data(text)
            reader.feed_eof()
            head = await messages.read_head(reader)
            assert head is not None
            found = messages.body_of(reader, head, to_the_end=True)
            return b"".join([piece async for piece in found])

        assert asyncio.run(run()) == body
