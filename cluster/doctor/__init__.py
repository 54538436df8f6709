"""Doctor: examines every node of a cluster, and says what is wrong and how to put it right.

- `per_node`: runs a function on every node
- `node_report`: collects each node's versions, source, cards, memory and clock
- `shared_storage`: checks that all nodes read and write one storage
- `findings`: judges the reports: the problems and their fixes
"""
