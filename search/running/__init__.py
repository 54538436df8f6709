"""Running: runs the search on Ray Tune.

- `runner`: starts and resumes a search
- `tuning`: puts Ray Tune together out of searcher, scheduler, trainable and callbacks
- `searcher`: tells Tune which recipe runs next
- `dependency_tracker`: knows which recipes have ended, and so which ones can begin
- `budget`: tells how much of the budget is spent
- `losses`: tells when trials lose their processes one after the other
- `capacity`: tells how many trials of each role the cluster has room for
- `trial_results`: makes a trial's outcome out of its last report
- `callbacks`: Tune's callbacks for epochs that hang, for searches that must end and for memory
"""
