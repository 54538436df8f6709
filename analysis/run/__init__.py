"""Run: reads a run directory back.

- `trials`: reads a run and its trials
- `record_table`: keeps what was read of ended trials in a table, so that it need not be read anew
- `format`: reads run.json, and refuses records of a format that this version cannot read
- `losses`: reads why a search left a trial unfinished
- `users_parts`: names the parts of a run's fingerprint, and picks those that are the user's
- `impossible`: finds values in a trial's record that no search writes
- `sessions`: reads when drivers worked on a run, and for how long
- `extensions`: reads by how much the search's budget was extended
- `summary`: sums a recipe up in a few words
"""
