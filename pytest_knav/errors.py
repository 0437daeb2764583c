"""
The two error families.

`KnavAssertionError` says that the system under test broke a promise; pytest and Allure
report it as *failed*. `HarnessError` says that pytest-knav could not do its work;
Allure reports it as *broken*. Nothing else is raised on purpose.
"""

from __future__ import annotations


class KnavAssertionError(AssertionError):
    """The system under test broke a promise."""


class WaitTimeout(KnavAssertionError):
    """A condition that the system under test should have reached did not come."""


class NotRecovered(KnavAssertionError):
    """A workload did not recover from a fault: it was blind to it, lost, or late."""


class InvariantViolated(KnavAssertionError):
    """Something happened that must never happen."""


class SloBreached(KnavAssertionError):
    """A metric left its bound."""


class HarnessError(Exception):
    """pytest-knav could not do its work; the system under test is not to blame."""


class BadInput(HarnessError, ValueError):
    """An argument, mark, option or file is wrong; the message shows the choices."""


class AssetError(HarnessError):
    """A binary of the control plane could not be found, fetched or built."""


class ClusterError(HarnessError):
    """A cluster could not be created, reached, reset or removed."""


class InjectionNotObserved(HarnessError):
    """A fault was written but its effect was never seen, so nothing may be judged."""


class Inconclusive(HarnessError):
    """A check had too little evidence to say pass or fail."""
