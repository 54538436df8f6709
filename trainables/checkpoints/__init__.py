"""Checkpoints: write recipes in progress and finished ones to disk, and read them back.

- `tensors`: packs networks and training state into plain tensors
- `checkpoint`: writes and reads checkpoint/<epoch>/, and finds out which checkpoints are damaged
- `trained_model`: holds what a finished recipe passes on to recipes that start or learn from it
- `deployed_model`: holds a quantized network as the file that it is deployed as
- `thinning`: drops from checkpoints what is needed only to train on
- `recovery`: rebuilds a trained model from a run directory
"""
