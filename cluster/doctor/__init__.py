"""Doctor: examining every node of a cluster.

- `per_node`: running a function on every node
- `node_report`: what a node says of itself
- `shared_storage`: whether all nodes see one storage
- `findings`: what is wrong, and the fix
"""
