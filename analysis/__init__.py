"""Explains what came out: reads a run directory, and knows neither Ray nor Optuna nor the study."""
