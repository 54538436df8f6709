"""Connection: starts Ray on this machine, joins a cluster, or submits a search to one as a job.

- `interrupts`: turns Ctrl-C, SIGTERM and SIGHUP into one exception
- `session`: starts a local Ray session, or joins a cluster
- `ray_watch`: notices that a local session of Ray has lost a process
- `session_folder`: makes the temporary folder of a local session, and removes those that killed sessions left
- `authentication`: finds out whether a cluster asks for a token
- `reachable`: refuses a cluster that cannot be joined, before anything is prepared for it
- `runtime_env`: collects the code that other nodes are given
- `jobs`: submits and follows Ray jobs
"""
