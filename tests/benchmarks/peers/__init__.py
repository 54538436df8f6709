"""Temper's sampler against what else one could pick, on finite tables of recipes, by the same accounting.

    make bench-peers

- `tables`, `optimizers`: rooms for the tables and for the optimizers
- `accounting`: runs an optimizer on a table, and counts what it spent and found
- `statistics`: paired tests, ratios with intervals, Holm's correction
- `results`: keeps the result of every search in a file, so that it is run once
- `report`: prints the comparison, losses first
- `__main__`: the command
- `test_accounting`, `test_statistics`, `test_results`, `test_report`: their tests

The optimizers' packages are dependencies of this benchmark only. `requirements-main.txt` and `requirements-primo.txt`
pin them, for two environments, since NePS wants an older BoTorch than ours.
"""
