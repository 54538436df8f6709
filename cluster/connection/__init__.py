"""Connection: joining a Ray cluster, or submitting a job to one.

- `session`: starting Ray here or joining a cluster
- `authentication`: whether a cluster asks for a token
- `runtime_env`: the code that other nodes are given
- `jobs`: Ray Jobs
"""
