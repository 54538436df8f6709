"""Ensemble: attacks networks as hard as can be, with several attacks of which the worst case of each image counts.

- `objectives`: defines what the attacks raise, and passes images through a network and back
- `targets`: orders the classes that a targeted attack aims at
- `apgd`: implements Auto-PGD, untargeted and targeted
- `fab`: implements FAB, which looks for the nearest point where a network is wrong
- `square`: implements the Square attack, which needs no gradient
- `restarts`: implements PGD from directions that broke other images
- `transfer`: tries examples on a network that were made for another
- `ensemble`: runs one attack after the other on the images that still stand
- `self_test`: tries the ensemble on a network whose margins are known
"""
