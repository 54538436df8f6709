"""Recipes: makes the recipes that a study runs.

- `baselines`: makes bases and baselines
- `equal_compute`: cuts or stretches a schedule to a given compute
- `grid_cells`: makes the recipes of a grid
- `fixed`: holds all recipes that are known before the search
- `proposals`: makes a recipe out of the parameters that a sampler chooses
- `choosers`: choose parameters without Optuna: at random, as given, or every combination in turn
- `first_proposals`: checks the proposals that a study wants first
- `finite_space`: counts the proposals that a finite space allows
- `compressor_check`: tries the user's compression methods on the study's network
"""
