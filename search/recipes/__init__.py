"""Recipes: from a study to the recipes that it runs.

- `baselines`: bases and baselines
- `grid_cells`: the cells of a grid
- `fixed`: all recipes that are fixed before the search
- `proposals`: from chosen parameters to a recipe
- `choosers`: choosing parameters at random, as told, or all in turn
- `compressor_check`: a user's own compression methods tried on the study's network
"""
