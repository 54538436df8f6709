"""Resume: going on with a search whose driver is gone.

- `history`: what the run directory remembers
- `replay`: telling listeners what happened before
- `fingerprint`: whether code, data and study are still the same
- `corrupt_files`: what is torn, in words
"""
