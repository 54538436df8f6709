"""Lets `python -m search` stand for the `temper` command, on any node that holds the checkout."""

from search.cli import main

if __name__ == "__main__":
    main()
