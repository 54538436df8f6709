"""Training: trains one network adversarially, an epoch at a time.

- `initial_network`: builds the network that a recipe starts from
- `train_state`: holds network, optimizer and averaged weights of a recipe in progress
- `batches`: divides the images of an epoch into batches of more than one
- `epoch`: trains one epoch in the ordinary or the free loop
- `optimization`: makes optimizers, learning rates and averaged weights
- `precision`: computes in mixed precision
"""
