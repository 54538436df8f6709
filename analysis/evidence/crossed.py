"""Estimates a mean difference in which seeds and images are both random: a crossed design.

Each of S seeds trains both recipes, and both are tried on the same I images. With d[s, i], the difference on one seed
and one image, the model is d[s, i] = mean + seed[s] + image[i] + rest[s, i]. Another set of seeds and of images would
give another mean. How far it may be off is Student's t over the seeds with the images' variance added: the squares of
what seeds and of what images leave open, from the mean squares of the two-way analysis of variance, each times its own
t (Banerjee, Sankhyā 22, 1960). With three seeds this covers 95%; one t with degrees of freedom after Satterthwaite was
measured to cover 92%.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from analysis.evidence.few_images import ImageMeans

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean difference, and how far it may be off.

    Attributes:
        mean: the mean over seeds and images.
        seeds, images: how many there were.
        of_seeds: variance of a seed's mean over these images, MS_seeds / I.
        of_images: variance of an image's mean over infinitely many seeds, (MS_images − MS_rest) / S, ≥ 0.
        image_means: the images' means over these seeds; None where the mean squares alone are known.
    """

    mean: float
    seeds: int
    images: int
    of_seeds: float
    of_images: float
    image_means: ImageMeans | None = None

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(sum(self._variances()))

    def half_width(self, tail: float) -> float:
        """Return by how much the mean may be off to one side, but for a probability of `tail`."""
        seeds, images = self._variances()
        quantiles = (_quantile(tail, count - 1) for count in (self.seeds, self.images))
        return math.sqrt(sum(one**2 * part for one, part in zip(quantiles, (seeds, images), strict=True)))

    def lower(self, tail: float = 0.05) -> float:
        """Return the one-sided lower bound, which lies above the true mean with a probability of `tail` at most."""
        return self.mean - self.half_width(tail)

    def upper(self, tail: float = 0.05) -> float:
        """Return the one-sided upper bound."""
        return self.mean + self.half_width(tail)

    def with_seeds(self, seeds: int) -> "Estimate":
        """Return the estimate that so many seeds on the same images would give, if all else stays as it was found."""
        return replace(self, seeds=seeds)

    def _variances(self) -> tuple[float, float]:
        """Return what the choice of seeds adds to the variance of the mean, and what that of images does."""
        return self.of_seeds / self.seeds, self.of_images / self.images


@cache
def _quantile(tail: float, degrees: int) -> float:
    from scipy.stats import t  # late: it is slow to import

    return float(t.ppf(1 - tail, degrees))


def estimate(differences: Array) -> Estimate:
    """Estimate the mean of paired differences.

    Args:
        differences: `(seeds, images)`, at least two of each.

    Raises:
        ValueError: there are fewer, or a number is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ValueError(f"got {values.shape}, expected finite differences of at least two seeds and two images")
    seeds, images = values.shape
    mean = float(values.mean())
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    of_rows = images * float(np.square(rows - mean).sum()) / (seeds - 1)
    of_columns = seeds * float(np.square(columns - mean).sum()) / (images - 1)
    rest = values - rows[:, None] - columns[None, :] + mean
    of_rest = float(np.square(rest).sum()) / ((seeds - 1) * (images - 1))
    found = from_squares(mean, seeds, images, of_rows, of_columns, of_rest)
    return replace(found, image_means=ImageMeans.of(columns))


def from_squares(mean: float, seeds: int, images: int, of_rows: float, of_columns: float, of_rest: float) -> Estimate:
    """Make the estimate from the mean squares of the analysis of variance.

    Args:
        mean: the mean.
        seeds, images: how many there were.
        of_rows: mean square between seeds, with S − 1 degrees of freedom.
        of_columns: mean square between images, with I − 1.
        of_rest: mean square of what is left, with (S − 1)(I − 1).
    """
    return Estimate(mean, seeds, images, of_rows / images, max(0.0, (of_columns - of_rest) / seeds))
