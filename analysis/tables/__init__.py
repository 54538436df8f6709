"""Tables: the numbers behind every figure and file.

- `trials`: a row for each finished trial, or each epoch
- `rungs`: a row for each rung of halving
- `grid`: a row for each recipe of a grid
"""
