"""Attacks: perturb images in adversarial training and in evaluation.

- `config`: defines what a study may say of an attack, without torch
- `attack`: defines the Attack protocol, and `perturb`, which runs an attack and checks that it keeps its bounds
- `gradients`: counts the gradients that tell an attack nothing
- `fgsm`: implements FGSM and N-FGSM, which take one step
- `pgd`: implements PGD, which takes several steps, in L-infinity and L2
- `scoring_attack`: implements the attack that scores every recipe of a search
- `adver_fine`: implements PGD as the code of arXiv 2403.09441 ran it, to repeat that study
- `user_attack`: makes the user's own attack, which a study names as `module:function`
- `registry`: makes the attack object for a recipe's perturbation
"""
