"""Status: tells how far a run is, and whether its search is alive.

- `status`: finds it out from the run's directory alone, also as data for programs
- `words`: says it in lines for people, and which command goes on with the run
"""
