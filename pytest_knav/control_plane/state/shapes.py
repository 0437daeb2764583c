"""
Objects of one shape: what the API server adds to one of them it adds to all.

So ten thousand pods of three shapes cost three questions. Whatever the API server might
judge or use one by one belongs to the shape; the rest is listed here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pytest_knav.control_plane.api import JsonObject

# Of each object alone. A name is part of the shape where it is no plain label: there
# its form means something (definitions, addresses) or it is wrong.
OWN_METADATA: Final = frozenset({
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp",
    "generateName", "managedFields", "name", "ownerReferences", "resourceVersion",
    "selfLink", "uid",
})  # fmt: skip
# Belongs to the API server; what comes from another one means nothing here.
FOREIGN_METADATA: Final = frozenset({"managedFields", "resourceVersion", "selfLink"})
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_OWN_POD_SPEC: Final = frozenset({"nodeName", "hostname"})
# Amounts have a syntax that a type does not show.
_VERBATIM_STATUS: Final = frozenset({"allocatable", "capacity"})


def shape(made: Mapping[str, Any], domain: Hashable = None) -> str:
    """
    Return what an object has in common with others that are treated alike.

    Args:
        made: The object.
        domain: What the API server looks up about the node of a pod.

    """
    metadata = made["metadata"]
    common = {k: v for k, v in made.items() if k not in {"metadata", "status"}}
    common["metadata"] = {
        key: _values_hidden(key, value)
        for key, value in metadata.items()
        if key not in OWN_METADATA
    }
    if made["kind"] == "Pod" and isinstance(made.get("spec"), dict):
        common["spec"] = {
            key: _label_hidden(value) if key in _OWN_POD_SPEC else value
            for key, value in made["spec"].items()
        }
    common["status"] = types(made.get("status"))
    common["name"] = _label_hidden(metadata["name"])
    return json.dumps([common, domain], sort_keys=True)


def names_itself(given: Mapping[str, Any], answer: JsonObject) -> bool:
    """Return whether the API server wrote the object's name into other fields of it."""
    name = re.escape(given["metadata"]["name"])
    token = re.compile(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])")
    bare = _without_own(answer)
    added = _added(_without_own(given), bare)
    return token.search(json.dumps(added)) is not None


def completed(
    own: Mapping[str, Any], given: Mapping[str, Any], answer: JsonObject
) -> JsonObject:
    """
    Return an object with what the API server made of another one of its shape.

    Args:
        own: The object.
        given: The one that the API server was asked about.
        answer: What it answered.

    """
    body = merged(_without_own(own), _without_own(given), _without_own(answer))
    result: JsonObject = _with_uid(
        body, str(answer["metadata"].get("uid")), own["metadata"]["uid"]
    )
    result |= {"apiVersion": own["apiVersion"], "kind": own["kind"]}
    theirs = own["metadata"]
    result["metadata"] |= {
        key: theirs[key] for key in OWN_METADATA - FOREIGN_METADATA if key in theirs
    }
    # Creating an object takes its status away; what is loaded has one.
    status = {**(answer.get("status") or {}), **(own.get("status") or {})}
    if status:
        result["status"] = status
    return result


def merged(own: Any, given: Any, answer: Any) -> Any:  # noqa: ANN401 - any JSON
    """
    Return a value with the same done to it as was done to another.

    Args:
        own: The value.
        given: The other one before.
        answer: The other one afterwards.

    """
    if answer == given:
        return own
    if isinstance(own, dict) and isinstance(given, dict) and isinstance(answer, dict):
        kept = {
            key: merged(value, given.get(key), answer[key])
            for key, value in own.items()
            if key in answer
        }
        return kept | {k: v for k, v in answer.items() if k not in own}
    lists = all(isinstance(each, list) for each in (own, given, answer))
    if lists and len(own) == len(given) <= len(answer):
        both = zip(own, given, answer[: len(own)], strict=True)
        return [*(merged(*each) for each in both), *answer[len(own) :]]
    return answer


def types(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a value with its types in place of what it says."""
    if isinstance(value, dict):
        return {
            key: item if key in _VERBATIM_STATUS else types(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        kinds = {json.dumps(types(item), sort_keys=True) for item in value}
        return sorted(kinds)
    return type(value).__name__


def _added(given: Any, answer: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return what is in an answer and was not given."""
    if answer == given:
        return None
    if isinstance(given, dict) and isinstance(answer, dict):
        return [_added(given.get(key), value) for key, value in answer.items()]
    if isinstance(given, list) and isinstance(answer, list):
        old, new = given[: len(answer)], answer[len(given) :]
        return [*map(_added, old, answer), *new]
    return answer


def _without_own(made: Mapping[str, Any]) -> JsonObject:
    metadata = {k: v for k, v in made["metadata"].items() if k not in OWN_METADATA}
    rest = {k: v for k, v in made.items() if k not in {"metadata", "status"}}
    return {**rest, "metadata": metadata}


def _with_uid(value: Any, old: str, new: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a value with one uid in place of another; a Job's labels hold its own."""
    if isinstance(value, dict):
        return {key: _with_uid(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_uid(item, old, new) for item in value]
    return new if value == old else value


def _values_hidden(key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return labels or annotations with every good value hidden."""
    if key not in {"labels", "annotations"} or not isinstance(value, dict):
        return value
    good = _LABEL_VALUE if key == "labels" else None
    return {
        name: True
        if isinstance(text, str) and (good is None or good.fullmatch(text))
        else text
        for name, text in value.items()
    }


def _label_hidden(value: Any) -> Any:  # noqa: ANN401 - any JSON
    return True if isinstance(value, str) and _LABEL.fullmatch(value) else value
