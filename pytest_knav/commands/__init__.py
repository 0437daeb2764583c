"""The sub-commands of ``knav``; `pytest_knav.cli` puts them together."""
