"""Conditions: says how a network does outside of the threat model that it was trained against.

- `corruptions`: blurs, darkens, turns and covers images, in five severities
- `other_norm`: finds the ball of the other norm that is as large
- `record`: writes and reads what was measured, without torch
- `measurement`: measures a network under all conditions
"""
