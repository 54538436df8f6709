"""Evaluation: measures the clean and the robust accuracy of networks.

- `config`: defines how hard and how often networks are scored, without torch
- `metrics`: lists every number that a recipe reports, and what each may be used for, without torch
- `chance`: tells whether a network has learnt anything, without torch
- `remarks`: says what is wrong with the numbers of a finished network, without torch
- `attacked_images`: keeps a few images beside what the attack made of them, without torch
- `probabilities`: recognises networks that give probabilities in place of scores
- `score`: scores a network on clean and on attacked images
"""
