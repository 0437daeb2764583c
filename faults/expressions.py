"""Target expressions as text: what a saved plan holds, read again."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.faults import places, targets, words
from pytest_knav.faults.link import targets as links
from pytest_knav.faults.network.targets import between
from pytest_knav.faults.targets import Submitted, Target, target_of


if TYPE_CHECKING:
    from collections.abc import Callable

_CALL: Final = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_WORDS: Final[dict[str, Callable[..., Target]]] = {
    word.__name__: word
    for word in (
        between,
        words.busiest,
        places.correlated,
        words.everything,
        targets.feed_of,
        targets.gpu_of,
        targets.gpus_of,
        targets.leaf_of,
        words.majority,
        words.minority,
        links.nic_of,
        targets.node_of,
        links.nvlink_of,
        words.one,
        words.percent,
        places.place_of,
        targets.pod_of,
        targets.pods_of,
        targets.rack_of,
        targets.rail,
        words.some,
        targets.spine_of,
        targets.zone_of,
    )
}


def parse_target(text: str) -> Target:
    """
    Return the target that prints as a text.

    A workload in it is found by its name among those that were submitted.

    Raises:
        BadInput: It is no expression, or has a word or an argument that is unknown.

    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return target_of([parse_target(part) for part in _split(text[1:-1], text)])
    call = _CALL.fullmatch(text)
    if call is None:
        if not text or set(text) & set("(),"):
            raise BadInput(f"target {text!r} is no name and no expression")
        return target_of(text)
    word, inner = call.groups()
    if word not in _WORDS:
        raise BadInput(
            f"target {text!r}: {word} is unknown: use one of {', '.join(_WORDS)}"
        )
    given: list[Any] = []
    named: dict[str, Any] = {}
    for part in _split(inner, text):
        name, equals, value = part.partition("=")
        if equals:
            named[name.strip()] = _value(value.strip())
        else:
            given.append(_value(part))
    try:
        inspect.signature(_WORDS[word]).bind(*given, **named)
    except TypeError as error:
        raise BadInput(f"target {text!r}: {error}") from error
    return _WORDS[word](*given, **named)


def _value(text: str) -> Any:  # noqa: ANN401 - what the word takes
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return Submitted(text)


def _split(text: str, whole: str) -> list[str]:
    """Return the parts between the commas that stand in no bracket."""
    parts, depth, part = [], 0, ""
    for char in text:
        depth += (char in "([") - (char in ")]")
        if depth < 0:
            break
        if char == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += char
    if depth != 0:
        raise BadInput(f"target {whole!r}: its brackets do not match")
    return [p for p in (*(q.strip() for q in parts), part.strip()) if p]
