"""Evidence: says what several seeds on the same images prove, and what they leave open.

- `crossed`: estimates a mean difference in which seeds and images are both random
- `few_images`: says how far the mean over few images may be off, whatever their distribution
- `sign_flip`: tests a difference by seeds alone, without any distribution
- `verdict`: decides on parity and on better, of one comparison or of several at once
- `confirmation`: reads what was confirmed from a run directory
- `comparisons`: holds confirmed picks against the reference and against fast opponents
- `rows`: sums up what was found of each, for tables
- `conditions`: sums up how they do under conditions that they were not trained for
- `words`: says what a confirmation came to
"""
