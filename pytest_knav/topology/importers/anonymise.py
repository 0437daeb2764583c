"""
Names of a real cluster replaced by others, the same one always by the same.

Values that are not known to be harmless are replaced: it is a list of what stays, and
not of what goes. With the same salt the same names come out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.topology.importers.tree import renamed


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_knav.topology.importers.tree import SwitchTree

_DIGITS: Final = 10
# Whose label keys and resources everybody knows.
_PUBLIC: Final = (
    "amazonaws.com", "amd.com", "aws", "azure.com", "eksctl.io", "gke.io", "google.com",
    "habana.ai", "intel.com", "k8s.io", "kai.scheduler", "karpenter.sh",
    "kubernetes.io", "nvidia.com", "openshift.io", "oraclecloud.com", "topograph.run",
    "volcano.sh",
)  # fmt: skip
_PUBLIC_NAMES: Final = frozenset({
    "app", "batch", "component", "controller-revision-hash", "controller-uid",
    "job-name", "name", "pod-template-generation", "pod-template-hash", "role", "tier",
    "version",
})  # fmt: skip
# Keys whose values tell of hardware and software, and of nobody's names.
_HARMLESS: Final = (
    "amd.com/", "beta.amd.com/", "beta.kubernetes.io/", "feature.node.kubernetes.io/",
    "karpenter.k8s.aws/instance-", "kubernetes.io/arch", "kubernetes.io/os",
    "cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator",
    "node.kubernetes.io/instance-type", "nvidia.com/",
)  # fmt: skip
_NAMES: Final = frozenset({"nvidia.com/gpu.clique"})
_PLAIN: Final = re.compile(r"|true|false|-?\d{1,6}", re.IGNORECASE)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Names that every cluster has.
_COMMON: Final = frozenset({
    "default", "default-scheduler", "kai-scheduler", "kube-node-lease", "kube-public",
    "kube-system", "system-cluster-critical", "system-node-critical", "volcano",
})  # fmt: skip
_AMOUNTS: Final = frozenset({
    "allocatable", "capacity", "default", "defaultRequest", "hard", "limits", "max",
    "maxLimitRequestRatio", "min", "requests",
})  # fmt: skip
_LABELS: Final = frozenset({"labels", "matchLabels", "nodeSelector"})
_WORDS: Final = frozenset({
    "containerName", "name", "namespace", "nodeName", "priorityClassName",
    "namespaces", "schedulerName", "uid",
})  # fmt: skip
_KEYS: Final = frozenset({"matchLabelKeys", "mismatchLabelKeys", "topologyKey"})
_ROLE: Final = "node-role.kubernetes.io/"
_ROLES: Final = frozenset({"control-plane", "etcd", "master", "node", "worker"})
# Standard resources have no domain; a quota puts a verb or `count/` in front.
_VERBS: Final = ("requests.", "limits.", "count/")


class Anonymiser:
    """
    Replaces names, and remembers which labels kept their values.

    Args:
        salt: Who does not know it cannot find out a name by trying.

    """

    def __init__(self, salt: str) -> None:
        self._salt = salt.encode()
        self._prefixes: dict[str, str] = {}
        self._kept: set[str] = set()

    @property
    def kept(self) -> tuple[str, ...]:
        """Return the label keys whose values stayed as they are."""
        return tuple(sorted(self._kept))

    def nodes(self, objects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return Node objects with other names, and nothing but what is imported."""
        given = list(objects)
        for item in given:
            self._prefixes[str((item.get("metadata") or {}).get("name"))] = "node"
        return [self._node(item) for item in given]

    def load(self, objects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the objects of a load, as `load_of` gives them, with other names."""
        return [self._walk(item) for item in objects]

    def tree(self, tree: SwitchTree) -> SwitchTree:
        """Return a tree of switches with other names."""
        self._prefixes |= dict.fromkeys(tree.nodes, "node")
        entries = {entry.name: "switch" for entry in tree.switches}
        entries |= {entry.name: "block" for entry in tree.blocks}
        self._prefixes |= entries
        wide = {name for own in tree.places.values() for name in own.values()}
        new = {name: self.word(name) for name in [*tree.nodes, *entries, *wide]}
        labels = {node: self.labels(own) for node, own in tree.labels.items()}
        return renamed(replace(tree, labels=labels), new)

    def word(self, text: str) -> str:
        """Return what stands for a name from now on."""
        # A node may be called by a number, or even `true`.
        plain = _PLAIN.fullmatch(text) and text not in self._prefixes
        if text in _COMMON or plain:
            return text
        digest = hmac.new(self._salt, text.encode(), hashlib.sha256).hexdigest()
        if _UUID.fullmatch(text):
            return str(uuid.UUID(digest[:32]))
        return f"{self._prefixes.get(text, 'x')}-{digest[:_DIGITS]}"

    def key(self, key: str) -> str:
        """Return a label key, or another one where it may tell whose cluster it is."""
        domain, slash, name = key.rpartition("/")
        if key.startswith(_ROLE) and name not in _ROLES:
            return f"{_ROLE}{self.word(name)}"
        if slash:
            public = any(domain == d or domain.endswith(f".{d}") for d in _PUBLIC)
            return key if public else f"anonymous.example/{self.word(key)}"
        return name if name in _PUBLIC_NAMES else self.word(name)

    def value(self, key: str, value: str) -> str:
        """Return the value of a label or taint, or another one."""
        if key.startswith(_HARMLESS) and key not in _NAMES:
            if not _PLAIN.fullmatch(value):
                self._kept.add(key)
            return value
        return self.word(value)

    def labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return labels with other keys and values."""
        return {self.key(k): self.value(k, str(v)) for k, v in labels.items()}

    def amounts(self, amounts: Mapping[str, Any]) -> dict[str, Any]:
        """Return amounts of resources, the names of which may be replaced."""
        return {self._resource(name): quantity for name, quantity in amounts.items()}

    def _resource(self, name: str) -> str:
        verb = next((verb for verb in _VERBS if name.startswith(verb)), "")
        rest = name.removeprefix(verb)
        return f"{verb}{self.key(rest)}" if "/" in rest else name

    def _node(self, item: Mapping[str, Any]) -> dict[str, Any]:
        metadata = item.get("metadata") or {}
        spec, status = item.get("spec") or {}, item.get("status") or {}
        amounts = {
            part: self.amounts(status[part])
            for part in ("allocatable", "capacity")
            if status.get(part)
        }
        ready = [c for c in status.get("conditions") or () if c.get("type") == "Ready"]
        return {
            "apiVersion": "v1",
            "kind": item.get("kind"),
            "metadata": {
                "name": self.word(str(metadata.get("name"))),
                "labels": self.labels(metadata.get("labels") or {}),
            },
            "spec": {
                "taints": self._walk(spec.get("taints") or []),
                "unschedulable": bool(spec.get("unschedulable")),
            },
            "status": {**amounts, "conditions": ready},
        }

    def _walk(self, value: Any, field: str = "") -> Any:  # noqa: ANN401 - any JSON
        """Return a value with every name in it replaced, by the field it is in."""
        if isinstance(value, dict):
            return self._mapping(value, field)
        if isinstance(value, list):
            return [self._walk(one, field * isinstance(one, str)) for one in value]
        return self._text(value, field) if isinstance(value, str) else value

    def _mapping(self, value: Mapping[str, Any], field: str) -> dict[str, Any]:
        how = self._of_field(field)
        if how is not None:
            return how(value)
        if isinstance(value.get("key"), str):
            return self._requirement(value)
        if "scopeName" in value:
            words = [self.word(one) for one in value.get("values") or ()]
            return {**value, **({"values": words} if words else {})}
        return {key: self._walk(item, key) for key, item in value.items()}

    def _of_field(
        self, field: str
    ) -> Callable[[Mapping[str, Any]], dict[str, Any]] | None:
        if field in _LABELS:
            return self.labels
        if field in _AMOUNTS:
            return self.amounts
        return self._annotations if field == "annotations" else None

    def _annotations(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {self.key(key): self.word(str(text)) for key, text in given.items()}

    def _requirement(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a taint, toleration, or an expression about labels or fields."""
        key = given["key"]
        made = {**given, "key": key if key == "metadata.name" else self.key(key)}
        if isinstance(given.get("value"), str):
            made["value"] = self.value(key, given["value"])
        if given.get("values"):
            made["values"] = [self.value(key, str(one)) for one in given["values"]]
        return made

    def _text(self, text: str, field: str) -> str:
        if field in _WORDS:
            return self.word(text)
        if field in _KEYS:
            return self.key(text)
        return f"image-{self.word(text)}" if field == "image" else text
