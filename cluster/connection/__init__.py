"""Connection: joining a Ray cluster, or submitting a job to one.

- `session`: starting Ray here or joining a cluster
- `session_folder`: the temporary folder of a local session, and clearing those that killed ones left
- `authentication`: whether a cluster asks for a token
- `runtime_env`: the code that other nodes are given
- `jobs`: Ray Jobs
"""
