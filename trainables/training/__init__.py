"""Training: epochs of adversarial training of one network.

- `initial_network`: the network that a recipe starts from
- `train_state`: network, optimizer and average in progress
- `epoch`: one epoch of the ordinary or the free loop
- `optimization`: optimizers, learning rates, averaging
- `precision`: mixed precision
"""
