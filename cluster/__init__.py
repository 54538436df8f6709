"""Places trials, knowing neither Optuna nor the models.

- joining Ray: `session`, `authentication`, `shipping` (the code that workers are given), `jobs` (from elsewhere)
- room: `placement` (what a trial takes of which nodes), `resources` (nodes come and go), `packing` (shares of a card)
- `shelf`: what many trials start from, kept in Ray's object store
- examining: `asking` (each node), `probes` (what it says of itself), `sharing` (storage), `doctor` (what is
  wrong, and the fix)
- `launchers/`, `grafana/` and a page for each place in README.md
"""
