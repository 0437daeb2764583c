"""
The policies by which transient errors are tried again; every retry goes through here.

Waiting for a state is not retrying: that is done on watches, with a deadline.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import tenacity
import urllib3.exceptions


if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

# What the API server answers when it cannot serve now but may soon
# (apimachinery/pkg/api/errors: TooManyRequests, InternalError, ServiceUnavailable,
# ServerTimeout).
TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
RETRY_FOR_S = 15.0


class TransientStatusError(Exception):
    """The API server answered with a status that is worth another try."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.body = body


TRANSIENT_ERRORS = (
    TransientStatusError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    socket.timeout,
)


def call_api(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call something that speaks to the API server; retry what may pass by itself."""
    retryer = tenacity.Retrying(
        stop=tenacity.stop_before_delay(RETRY_FOR_S),
        wait=tenacity.wait_exponential_jitter(multiplier=0.05, max=1.0, jitter=0.05),
        retry=tenacity.retry_if_exception_type(TRANSIENT_ERRORS),
        reraise=True,
    )
    return retryer(function, *args, **kwargs)


def until(
    question: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.05
) -> bool:
    """
    Ask again until the answer is yes; return False when the time is up.

    For what offers no watch: a process that ends, a port that opens.
    """
    retryer = tenacity.Retrying(
        stop=tenacity.stop_after_delay(timeout_s),
        wait=tenacity.wait_fixed(interval_s),
        retry=tenacity.retry_if_result(lambda answer: answer is False),
        retry_error_callback=lambda _: False,
    )
    return retryer(question)
