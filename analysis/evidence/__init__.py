"""Evidence: says what several seeds on the same images prove, and what they leave open.

- `crossed`: estimates a mean difference in which seeds and images are both random
- `sign_flip`: tests a difference by seeds alone, without any distribution
- `verdict`: decides on parity and on better, of one comparison or of several at once
"""
