"""Drafting: writes the first study for a user's network and data (`temper init`).

- `data`: says in a study's words which data is meant, and how much of it to hold out
- `sizes`: chooses how long to train and how many recipes to try, so that a search takes the hours that it may
- `contents`: writes a study as commented YAML
- `draft`: looks at network, data and machine, and drafts the study
"""
