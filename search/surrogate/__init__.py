"""Surrogate: models what the cost-aware sampler does not know yet of a recipe, before it runs.

- `gaussian_process`: predicts what is only known once it has run, such as its robust accuracy
- `inputs`: tells the model's inputs for a recipe
- `starting_design`: tells what a model would learn from a recipe, before it has scores to learn from
- `cost_model`: plans its compute and its size
- `time_model`: predicts the seconds that it will take
- `counting_ahead`: counts the networks that this needs before they are asked for
"""
