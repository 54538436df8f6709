"""Channels: finds which channels of a network's layers depend on each other, by running the network.

- `operators`: describes the operators that hold weights, and which tensors have an entry for each channel
- `running`: runs a network without the arithmetic of its layers
- `kept_state`: keeps what a network's modules hold as it is while the network runs
- `marks`: marks channels with NaN, so that the images of a batch spell their numbers
- `connections`: finds which channels depend on which from these marks
- `probing`: runs a network with marks
- `order`: orders the layers from the scores backwards
- `groups`: divides channels into groups, and those into units that can only be removed together
"""
