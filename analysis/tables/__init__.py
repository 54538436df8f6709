"""Tables: makes the tables behind every figure and file.

- `trials`: tables with a row for each finished trial, or for each epoch
- `rungs`: a table with a row for each rung of halving
- `grid`: a table with a row for each arm and level of a grid, averaged over seeds
"""
