"""Study: what one YAML file may say, validated and frozen.

- `study`: the study
- `space`: what is searched over
- `grid`: what is listed instead
- `constraints`: bounds on final numbers
- `algorithms`: budget, sampler and halving
- `resources`: what each trial gets of a cluster
- `user_attacks`: which attacks of the user's own it names
- `user_compressors`: compression methods of the user's own that a study names
- `loading`: reading and changing a study
"""
