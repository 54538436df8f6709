"""Pruning: finds what can be removed from a network, chooses among it, and removes it.

- `analysis`: says what can be pruned, and why each other layer is left as it is
- `remembered`: remembers what analyses found, for other networks that are alike
- `prunable`: defines what can be pruned in a network, and what is left as it is
- `trials`: tries removals, to find out which groups can be pruned
- `verification`: proves that a network without some channels is otherwise the same
- `removal`: takes channels out of tensors, and puts them back
- `importance`: values units by their weights or gradients
- `selection`: chooses the units to remove for a ratio
- `choice`: chooses so that the rest of the network stays the same, without the groups that prevent it
"""
