"""The recipe: all that determines one trained network, as frozen data with an id.

- `recipe`: the recipe and its id
- `released_fields`: every field with its default and the version that brought it, so that ids outlive new fields
- `schedule`: epochs, learning rate, loop and augmentation
- `compatibility`: which parts do not go together
"""
