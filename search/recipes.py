"""From a study to the recipes that it fixes: base, baselines and grid; and which of them others build on."""

from dataclasses import dataclass
from typing import Literal

from search.grid import Arm
from search.placing import Role
from search.study import BASE, Study
from trainables.ingredients import ChannelPruning, Compression, NoCompression, Quantization
from trainables.recipe import Distillation, Recipe
from trainables.regime import Schedule

AS_IT_IS = Schedule(epochs=0, learning_rate=1.0)
Axis = Literal["pruning", "quantization"]


@dataclass(frozen=True)
class Fixed:
    """A recipe that nobody searches for."""

    role: Role
    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Cell:
    """One recipe of a grid: an arm at a level of compression (share of channels removed, or bits) with a seed."""

    arm: Arm
    axis: Axis
    level: float
    recipe: Recipe


def base_recipe(study: Study, epochs: int | None = None) -> Recipe:
    """Ordinary pretraining, or the user's file of weights as it is: no attack, no compression.

    Args:
        study: whose base.
        epochs: another length of pretraining than the study's.
    """
    base = _base(study, study.seed)
    if epochs is None:
        return base
    return base.model_copy(update={"schedule": base.schedule.model_copy(update={"epochs": epochs})})


def searched_bases(study: Study) -> tuple[Recipe, ...]:
    """Every base that a proposal may start from, the study's own among them where its length is in the range."""
    lengths = study.space.pretraining_epochs if study.space else None
    if lengths is None:
        return (base_recipe(study),)
    return tuple(base_recipe(study, epochs) for epochs in lengths.numbers)


def fixed_recipes(study: Study) -> tuple[Fixed, ...]:
    """The base, the baselines, then the grid, in the order to run them: what a recipe starts from comes before it.

    The bases that a grid needs with further seeds are named by their seed.
    """
    own = _started(study, study.seed)
    fixed = [Fixed("base" if name == BASE else "baseline", name, recipe) for name, recipe in own.items()]
    cells = grid_cells(study)
    known = {one.recipe.id for one in fixed}
    for seed in range(study.seed + 1, study.seed + (study.grid.seeds if study.grid else 1)):
        needed = {ancestor.id for cell in cells for ancestor in _ancestors(cell.recipe)}
        for name, recipe in _started(study, seed).items():
            if recipe.id in needed - known:
                fixed.append(Fixed("base" if name == BASE else "baseline", f"{name}.seed{seed}", recipe))
    return (*fixed, *(Fixed("grid", cell.arm.name, cell.recipe) for cell in cells))


def grid_cells(study: Study) -> tuple[Cell, ...]:
    """Every recipe of the study's grid, seed by seed; none where it has no grid."""
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
        bases = _started(study, seed)
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


def planned_recipes(study: Study) -> int:
    """How many recipes a study runs at most."""
    fixed = fixed_recipes(study)
    others = {base.id for base in searched_bases(study)} - {one.recipe.id for one in fixed}
    return len(fixed) + min(len(others), study.budget.trials) + study.budget.trials


def parents(study: Study) -> frozenset[str]:
    """Ids of the recipes that others start from or learn from."""
    started = (fixed.recipe.base for fixed in fixed_recipes(study))
    bases = (base_recipe(study), *searched_bases(study), *(base for base in started if base is not None))
    return teachers(study) | {base.id for base in bases}


def teachers(study: Study) -> frozenset[str]:
    """Ids of the recipes whose soft labels others learn from."""
    fixed = fixed_recipes(study)
    learnt = {one.recipe.teacher.id for one in fixed if one.recipe.teacher is not None}
    if study.space is None or not any(study.space.distillation.weight):
        return frozenset(learnt)
    names = study.space.distillation.teacher
    own = {base.id for base in searched_bases(study)} if BASE in names else set()
    return frozenset(learnt | own | {one.recipe.id for one in fixed if one.role == "baseline" and one.name in names})


def _base(study: Study, seed: int) -> Recipe:
    return Recipe(
        data=study.data,
        model=study.model,
        weights=study.pretrained,
        augmentation=study.augmentation,
        schedule=study.pretraining or AS_IT_IS,
        keep=study.keep,
        precision=study.precision,
        seed=study.seed if study.pretrained else seed,
    )


def _started(study: Study, seed: int) -> dict[str, Recipe]:
    """The base and the baselines by name, with one seed; a file of weights is the same whatever the seed."""
    made = {BASE: _base(study, seed)}
    for baseline in study.baselines:
        soft = baseline.distillation
        made[baseline.name] = Recipe(
            data=study.data,
            model=study.model,
            base=None if baseline.base is None else made[baseline.base],
            compression=baseline.compression,
            quantization=baseline.quantization,
            perturbation=baseline.perturbation,
            loss=baseline.loss,
            loop=baseline.loop,
            distillation=None
            if soft is None
            else Distillation(
                temperature=soft.temperature,
                weight=soft.weight,
                teacher=None if soft.teacher is None else made[soft.teacher],
            ),
            augmentation=study.augmentation,
            schedule=baseline.schedule,
            keep=study.keep,
            precision=study.precision_with(baseline.quantization),
            seed=seed,
        )
    return made


def _ancestors(recipe: Recipe) -> list[Recipe]:
    """What it starts from and learns from, what that builds on, and so on."""
    direct = [one for one in (recipe.base, recipe.separate_teacher) if one is not None]
    return direct + [ancestor for one in direct for ancestor in _ancestors(one)]
