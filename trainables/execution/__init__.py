"""Execution: one recipe from start to numbers, with the faults that end it early.

- `pipeline`: base, compression, training and evaluation, an epoch at a time
- `ending`: how a trial ended, as data
- `report`: what a trial tells the driver after an epoch
- `divergence`: telling that training diverged or overfitted
- `memory`: telling that memory ran out
- `standalone`: running a recipe and its ancestors without Ray
"""
