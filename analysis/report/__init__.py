"""Report: writes the report and the charts that people look at after a search.

- `report`: writes report.html and the files beside it
- `page`: renders report.html from the template, style and scripts in assets/
- `page_data`: gathers the numbers that the page's scripts draw
- `frontier_chart`: draws the frontier as a picture, and as a figure for Python
- `attacked_sheets`: packs images under attack into the page
- `epsilon_curves`: gives and draws accuracy by epsilon of what was confirmed
- `grid_chart`: draws the results of a grid
"""
