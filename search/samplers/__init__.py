"""Samplers: propose the next recipe.

- `sampler`: the interface of every sampler, and how the one that a study names is made
- `limits`: tells what a proposal costs, in the currency of the budget
- `ask_and_tell`: Optuna's samplers behind that interface
- `optuna_samplers`: makes Optuna's samplers by name
- `optuna_storage`: rebuilds Optuna's trials from the record, and keeps them in a storage that stays fast
- `cost_aware`: the default sampler, which weighs the expected gain of a recipe against its compute
- `estimates`: computes what a search's model makes of the recipes that finished
- `past_choices`: reads off a recipe the choices by which a space would have come to it
- `warm_start`: collects the proposals of earlier runs that a new search learns from
"""
