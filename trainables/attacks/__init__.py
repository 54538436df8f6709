"""Attacks: how images are perturbed in adversarial training and in evaluation.

- `config`: what a study may say of an attack, without torch
- `attack`: the Attack protocol, and `perturb`, which checks that an attack keeps its promises
- `fgsm`: FGSM and N-FGSM, one step each
- `pgd`: PGD, several steps, in L-infinity and L2
- `adver_fine`: the attack as the code of arXiv 2403.09441 ran it, to repeat that study
- `user_attack`: an attack of the user's own, named as `module:function`
- `registry`: from a recipe's perturbation to the attack object
"""
