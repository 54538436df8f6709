"""Placement: decides which nodes a trial may run on, and how many trials fit at once.

- `placement`: describes what a trial takes of which nodes, and counts how many fit
- `capacity`: says whether one more trial may begin, as nodes come and go
- `gpu_sharing`: decides how many trials share a card
"""
