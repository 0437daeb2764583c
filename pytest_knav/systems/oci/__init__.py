"""Container images without a container engine."""

from __future__ import annotations

from pytest_knav.systems.oci.image import program_of_image


__all__ = ["program_of_image"]
