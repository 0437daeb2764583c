"""The state of a cluster: every key of its store, saved, put back, moved, made."""
