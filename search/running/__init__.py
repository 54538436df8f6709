"""Running: the search itself, on Ray Tune.

- `runner`: starting, resuming and concluding a search
- `tuning`: Ray Tune put together
- `searcher`: what runs next, as Tune asks
- `dependency_tracker`: which recipes may begin
- `budget`: how much of the budget is spent
- `capacity`: the cluster's room for each role
- `trial_results`: how a trial ended, from Tune's last result
- `callbacks`: hangs, interrupts and memory, as Tune's callbacks
"""
