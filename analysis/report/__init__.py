"""Report: writes the report and the charts that people look at after a search.

- `report`: writes report.html and the files beside it
- `frontier_chart`: draws the frontier
- `epsilon_curves`: draws accuracy by epsilon of what was confirmed
- `grid_chart`: draws the results of a grid
"""
