"""`python -m search` is `temper`, on any node that holds the checkout."""

from search.cli.app import main

if __name__ == "__main__":
    main()
