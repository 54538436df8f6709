"""Explains the results of a search: reads a run directory, and knows neither Ray nor Optuna nor the study.

- `run`: reads a run directory back
- `pareto`: computes dominance, frontier, hypervolume, and parity with the reference
- `tables`: makes the tables behind figures and files
- `evidence`: says what several seeds on the same images prove
- `export`: exports recipes and models
- `comparison`: holds several runs against each other, on one reference point
- `report`: writes the report and its charts
"""
