"""Recipe: holds everything that determines one trained network, as frozen data with an id.

- `recipe`: defines the recipe and its id
- `released_fields`: lists every field with its default and the version that brought it, so that new fields change no id
- `schedule`: defines epochs, learning rate, loop and augmentation
- `compatibility`: says which parts of a recipe do not fit each other
"""
