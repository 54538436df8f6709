"""Compute: counts the FLOPs of training, and adds them up by phase.

- `flops`: measures the FLOPs of one pass through a network
- `ledger`: adds up a recipe's FLOPs by phase, with those of its bases and teachers
- `device_usage`: measures device seconds, and the energy of GPUs
- `lost_work`: counts the FLOPs of epochs that were begun more than once, because a process was lost
"""
