"""Samplers: what proposes the next recipe.

- `sampler`: the interface of every sampler, and the one that a study names
- `ask_and_tell`: Optuna's samplers behind that interface
- `optuna_samplers`: Optuna's samplers by name
- `optuna_storage`: Optuna's trials out of the record, and a storage that stays fast
- `cost_aware`: the default sampler
- `gaussian_process`: its model of accuracy
- `acquisition`: its gain in hypervolume
- `cost_model`: what recipes will cost
- `warm_start`: what earlier runs teach
"""
