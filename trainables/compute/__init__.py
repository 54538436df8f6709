"""Compute: counts the FLOPs of training, and adds them up by phase.

- `operators`: gives the FLOPs of single operators, by rules on shapes
- `uncounted`: lists the operators that the count leaves out by definition
- `meta_outputs`: remembers the shapes of what operators give, so that most need not be worked out again
- `counter`: counts the FLOPs of whatever PyTorch runs in a context
- `shapes`: runs a network on shapes alone, so that counting takes no arithmetic
- `flops`: counts the FLOPs of each kind of pass through a network
- `ledger`: adds up a recipe's FLOPs by phase, with those of its bases and teachers
- `device_usage`: measures device seconds, and the energy of GPUs
- `lost_work`: counts the FLOPs of epochs that were begun more than once, because a process was lost
"""
