"""The real control plane: its binaries, its processes, its clusters."""
