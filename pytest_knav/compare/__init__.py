"""Several systems, or two builds of one, under the same tests."""
