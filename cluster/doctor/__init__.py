"""Doctor: examines every node of a cluster, and says what is wrong and how to put it right.

- `per_node`: runs a function on every node
- `machine`: finds out what one machine has and allows
- `node_report`: collects from each node what it has, its versions, source and clock
- `shared_storage`: checks that all nodes read and write one storage
- `findings`: judges the reports: the problems and their fixes
"""
