"""Decides what to run next: the `temper` command, studies, the searcher and the runner."""
