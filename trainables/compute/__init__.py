"""Compute: counting FLOPs, and the ledger that adds them up by phase.

- `flops`: FLOPs of one pass through a network, measured
- `ledger`: FLOPs and seconds by phase, with those of ancestors
- `device_usage`: device seconds, and energy on GPUs
- `lost_work`: epochs that a lost process had begun
"""
