"""Study: describes one search, as its YAML file says it; validated and frozen.

- `study`: the study itself
- `space`: the ranges and choices that are searched over
- `ranges`: ranges of numbers, which a space may give in place of a list
- `grid`: recipes that a study lists instead of searching for them
- `constraints`: bounds on final numbers
- `algorithms`: settings of budget, sampler and halving
- `resources`: what each trial gets of a cluster
- `user_functions`: finds and checks the user's attacks and compression methods that a study names
- `loading`: reads, changes and validates a study
"""
