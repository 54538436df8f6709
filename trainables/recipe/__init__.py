"""The recipe: all that determines one trained network, as frozen data with an id.

- `recipe`: the recipe and its id
- `schedule`: epochs, learning rate, loop and augmentation
- `compatibility`: which parts do not go together
"""
