"""Placement: which nodes a trial may run on, and how many trials there is room for.

- `placement`: what a trial takes of which nodes
- `capacity`: room for trials as nodes come and go
- `gpu_sharing`: how many trials share a card
"""
