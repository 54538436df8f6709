"""Decides what to run next: the `temper` command, studies, the searcher and the runner.

Where to look, by what a module is about:

- commands: `cli`, `cli_cluster`, `cli_recordings`, `options`
- a study as data: `study`, `space`, `grid`, `constraints`, `effort`, `placing`; read by `loading`, with the user's own
  code in `modules`
- recipes out of it: `recipes` (fixed), `proposals` (proposed), `draws` (proposed without Optuna)
- deciding: `searcher` (order, budget), `known`, `spending`, `area`; Optuna in `proposer`, `samplers`, `recent`;
  the cost-aware sampler in `advisor`, `surrogate`, `costs`; early stopping in `halving`, `rungs`; `lessons`
- running: `runner`, `tuning` (Ray Tune), `places` (the cluster's room), `outcomes`, `events` and who hears of
  them: `store` (the record), `tensorboard`, `progress`, `monitoring`
- going on after a fault: `replay`, `fingerprint`, `damage`, `failures`, `hangs`, `interrupts`
- before it runs: `plan`, `workload`, `estimate`, `checkup` (doctor); from elsewhere: `submission`, `parcel`
- without running: `recording`, `virtual`, `simulation`, `rehearsal`
- afterwards: `reproduce`
"""
