"""Confirm: retrains what a search found with fresh seeds, attacks it as hard as can be, and says who wins.

- `contenders`: says which recipes are retrained: picks, what they are held against, and fast opponents at equal compute
- `plan`: writes down who is confirmed against whom, with which seeds and attack
- `forecast`: says how long it takes, and what its images leave open
- `trainings`: trains the recipes of a plan on Ray, as trials of the run
- `attacks`: attacks the trained networks on Ray, on the test split
- `conditions`: measures the trained networks under conditions that they were not trained for
- `work`: runs a task for each trained network on Ray
- `confirm`: does all of it, and goes on where it was stopped
"""
