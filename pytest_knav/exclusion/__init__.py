"""
Lemon nodes: those that fail much of what runs on them, found and kept out.

Estimators tell bad nodes from bad queues by the pods that have finished; a policy
decides within limits; a controller acts on any cluster.
"""
