"""Execution: runs one recipe from its start to its final numbers, and ends it early where it goes wrong.

- `pipeline`: compresses, trains and evaluates a network, an epoch at a time
- `ending`: describes how a trial ended, as data
- `report`: defines what a trial reports to the driver after an epoch
- `divergence`: detects training that diverged or overfitted
- `memory`: limits a trial's memory, and detects that memory ran out
- `standalone`: runs a recipe with its bases and teachers, without Ray
"""
