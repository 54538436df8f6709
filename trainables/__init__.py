"""What one trial does: plain PyTorch, from a recipe to its numbers. Only `trainables.trial` knows Ray."""
