"""Explains what came out: reads a run directory, and knows neither Ray nor Optuna nor the study.

- `run`: the run directory read back
- `pareto`: dominance, frontier, hypervolume, parity
- `tables`: the numbers behind figures and files
- `export`: recipes and models to take away
- `report`: what a person looks at
"""
