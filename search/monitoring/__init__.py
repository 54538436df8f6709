"""Monitoring: shows how a search goes while it runs.

- `tally`: counts what runs and what has ended, for those that show it
- `progress`: prints lines on the terminal
- `tensorboard`: writes curves for TensorBoard
- `ray_metrics`: sets metrics that Prometheus reads
- `hypervolume`: keeps the hypervolume so far
- `watching`: shows a running search until it has ended
- `sketch`: draws a frontier and bars in characters, for terminals
- `user_listeners`: tells listeners of the user's own, such as an experiment tracker
- `importances`: computes how much each parameter matters
"""
