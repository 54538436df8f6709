"""Makes the recipes of a study's grid: one for each arm, level of compression and seed."""

from dataclasses import dataclass
from typing import Literal

from search.recipes.baselines import AS_IT_IS, started_recipes
from search.study.grid import Arm
from search.study.study import Study
from trainables.compression.config import ChannelPruning, Compression, NoCompression, Quantization
from trainables.recipe.recipe import Recipe

Axis = Literal["pruning", "quantization"]


@dataclass(frozen=True)
class Cell:
    """One recipe of a grid, at its place in the grid.

    Attributes:
        arm: the arm, which says what is compressed and how it is trained afterwards.
        axis: what the level is of.
        level: the share of channels removed, 0–1, or the number of bits.
        recipe: the recipe, which holds the seed.
    """

    arm: Arm
    axis: Axis
    level: float
    recipe: Recipe


def grid_cells(study: Study) -> tuple[Cell, ...]:
    """Return every recipe of the study's grid, seed by seed; none if the study has no grid."""
    grid = study.grid
    if grid is None:
        return ()
    levels: list[tuple[Axis, float, Compression, Quantization | None]] = [
        ("pruning", ratio, ChannelPruning(pruning_ratio=ratio, importance=grid.importance, scope=grid.scope), None)
        for ratio in grid.pruning_ratios
    ]
    levels += [
        ("quantization", bits, NoCompression(), Quantization(weight_bits=bits, activation_bits=bits))
        for bits in grid.bits
    ]
    cells = []
    for seed in range(study.seed, study.seed + grid.seeds):
        bases = started_recipes(study, seed)
        for axis, level, compression, quantization in levels:
            for arm in grid.arms:
                recipe = Recipe(
                    data=study.data,
                    model=study.model,
                    base=bases[arm.base],
                    compression=compression,
                    quantization=quantization,
                    perturbation=arm.perturbation,
                    augmentation=study.augmentation,
                    schedule=arm.schedule or AS_IT_IS,
                    keep=study.keep,
                    precision=study.precision_with(quantization),
                    seed=seed,
                )
                cells.append(Cell(arm, axis, level, recipe))
    return tuple(cells)
