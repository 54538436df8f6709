"""Models: builds the networks that a study may name, and loads weights into them.

- `config`: defines what a study may say of its network, without torch
- `build`: builds a network with the normalization of pixels inside
- `error_places`: says in which layer, and in which line of the user's, an exception was raised
- `misfits`: says what to do about a network that does not fit the images or the classes
- `module_sizes`: sets the sizes that layers keep as numbers to those of their tensors
- `resnets`: defines ResNet-18 and wide residual networks for small images
- `wrappers`: takes a network out of torch.compile and data parallelism, whose layers would not change with it
- `weight_files`: reads files of weights, in the forms that people have
- `weights`: fits a file of trained weights to a network, and loads it; loads the weights of a compressed one
"""
