"""Decides what to run next: the `temper` command, studies, the search and its record.

From the ground up:

- `failures`, `events`: what went wrong, in one line; what happens in a search, as data
- `study`, `recipes`: one YAML file, and the recipes that it runs
- `remote`: a search submitted from elsewhere
- `samplers`, `halving`: what is proposed, and what is stopped early
- `resume`, `record`: reading and writing the run directory
- `monitoring`: who shows a search while it runs
- `running`: the search itself, on Ray Tune
- `preflight`, `simulation`, `reproduce`: before it runs, without running, afterwards
- `cli`: the command line, a file for each kind of command
"""
