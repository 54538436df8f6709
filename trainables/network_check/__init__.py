"""Network check: does once, on a few images, all that a study will do with its network, before anything is trained.

- `check`: runs every check of one network in order, and says how long they took
- `subject`: defines what is checked: the network, and what a study will do with it
- `findings`: defines what a check tells without refusing the network
- `error_words`: says in words what an exception means: its layer, the user's line, and what to do
- `scores`: checks the scores in eval and in train mode
- `gradients`: checks that gradients reach the images and the parameters
- `compressed`: checks that a compressed network can be used, trained, counted, saved, loaded and deployed
- `trained`: checks that each attack can take a step, and that each way of training runs and can be taken up again
- `deployed`: checks that the network can be written as an ONNX file
"""
