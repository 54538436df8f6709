"""Samplers: what proposes the next recipe.

- `ask_and_tell`: asking for proposals and telling results
- `optuna_samplers`: Optuna's samplers by name
- `optuna_trials`: Optuna's trials out of the record
- `bounded_storage`: an Optuna storage that stays fast
- `cost_aware`: the default sampler
- `gaussian_process`: its model of accuracy
- `acquisition`: its gain in hypervolume
- `cost_model`: what recipes will cost
- `warm_start`: what earlier runs teach
"""
