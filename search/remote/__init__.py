"""Remote: submits a search to a cluster from another machine, and brings its results back.

- `submission`: submits, follows and fetches a search
- `archive`: turns files of a run into text that a job can print, and back
- `user_modules`: finds the user's modules, which are shipped to the cluster
"""
