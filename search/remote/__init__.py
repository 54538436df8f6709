"""Remote: submits a search to a cluster from another machine, and brings its results back.

- `submission`: submits, follows and fetches a search
- `archive`: turns files of a run into text that a job can print, and back
- `user_modules`: finds the user's modules and files, which are shipped to the cluster
- `shipped_copy`: imports them as they are shipped, to see whether a file is missing
"""
