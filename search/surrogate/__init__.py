"""Surrogate: models what the cost-aware sampler does not know yet of a recipe, before it runs.

- `gaussian_process`: predicts its robust accuracy
- `inputs`: tells the model's inputs for a recipe
- `acquisition`: turns that into its expected gain, the expected hypervolume improvement
- `starting_design`: tells what a model would learn from a recipe, before it has scores to learn from
- `cost_model`: plans its compute
- `time_model`: predicts the seconds that it will take
- `counting_ahead`: counts the networks that this needs before they are asked for
- `reference_point`: tells the reference point, as far as it is known before base and reference have ended
"""
