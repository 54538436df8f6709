"""Remote: a search submitted to a cluster from elsewhere.

- `submission`: submitting, following and fetching
- `archive`: files of a run as text that a job can print
- `user_modules`: the user's own modules, to be shipped
"""
