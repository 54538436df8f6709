"""Results: what people call from Python to look at a run.

- `results`: a run as tables, a verdict, a figure and recipes to pick from
- `picked`: one finished recipe, with its network
"""
