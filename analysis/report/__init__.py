"""Report: what a person looks at after a search.

- `report`: report.html and the files beside it
- `frontier_chart`: the frontier as a picture
- `grid_chart`: a grid as a picture
"""
