"""Preflight: plans and prices a search before it starts.

- `study_check`: checks what can be checked of a study without Ray and its data
- `network_check`: does once, on a few images, all that a study will do with its network
- `weights_check`: says what the user's trained weights come to
- `workload`: plans the FLOPs of every recipe that a study will run
- `dry_run`: says that plan in words
- `estimate`: computes hours and cost from planned FLOPs and measured speeds
- `timing`: times a study's training in the slots of a cluster or of this machine
- `doctor`: examines the cluster, and times the study on it
"""
