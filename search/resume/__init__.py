"""Resume: goes on with a search whose driver was interrupted or killed.

- `history`: reads the trials of the run directory back as proposals and outcomes
- `ancestors`: loads the trained networks that other recipes start or learn from
- `replay`: tells listeners what happened before
- `fingerprint`: finds out whether code, data and study are still the same
- `comparison`: compares what is the user's, for every command that reads a run
- `extension`: adds to the budget of a search that has ended
- `corrupt_files`: lists the files that a kill left incomplete
"""
