"""Fuzzing: generated inputs, each of which Temper must take through to the end, or refuse in words.

- `random_networks`: draws networks by number, out of the kinds of layers that people use
- `random_folders`: writes folders of images by number, and says what each must come to
- `mutated_studies`: writes studies with something odd in them by number
- `inputs`: reads, checks and searches those, and compares what comes out
- `networks`: takes networks through a plan, training, compression, reloading, export and an attack
"""
