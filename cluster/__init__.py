"""Places trials: starts or joins a Ray cluster and counts its slots. Knows neither Optuna nor the models."""
