"""
The network between the components of one control plane, with a proxy in every link.

Only clusters of tests that are marked `knav(network=True)` have it. Nothing is imported
here: the layer that hurts requests is a process of its own and starts with this.
"""
