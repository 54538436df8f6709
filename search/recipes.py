"""From a study to recipes: the fixed ones, and proposals out of the conditional space."""

from dataclasses import dataclass
from typing import Literal, cast

from optuna import Trial

from search.grid import Arm
from search.space import CompressionSpace, PerturbationSpace, QuantizationSpace, ScheduleSpace
from search.study import BASE, Study
from trainables.errors import TemperError
from trainables.recipe import Bits, ChannelPruning, Compression, NoCompression, Quantization, Recipe
from trainables.regime import FGSM, NFGSM, PGD, Loss, Perturbation, Schedule, Shape

AS_IT_IS = Schedule(epochs=0, learning_rate=1.0)
Role = Literal["base", "baseline", "grid", "proposed", "confirm"]
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


def base_recipe(study: Study) -> Recipe:
    """Ordinary pretraining, or the user's file of weights as it is: no attack, no compression."""
    return _started(study, study.seed)[BASE]


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
                    seed=seed,
                )
                cells.append(Cell(arm, axis, level, recipe))
    return tuple(cells)


def parents(study: Study) -> frozenset[str]:
    """Ids of the recipes that others start from."""
    started = (fixed.recipe.base for fixed in fixed_recipes(study))
    return frozenset({base_recipe(study).id, *(base.id for base in started if base is not None)})


def _started(study: Study, seed: int) -> dict[str, Recipe]:
    """The base and the baselines by name, with one seed; a file of weights is the same whatever the seed."""
    made = {
        BASE: Recipe(
            data=study.data,
            model=study.model,
            weights=study.pretrained,
            augmentation=study.augmentation,
            schedule=study.pretraining or AS_IT_IS,
            keep=study.keep,
            seed=study.seed if study.pretrained else seed,
        )
    }
    for baseline in study.baselines:
        made[baseline.name] = Recipe(
            data=study.data,
            model=study.model,
            base=None if baseline.base is None else made[baseline.base],
            compression=baseline.compression,
            quantization=baseline.quantization,
            perturbation=baseline.perturbation,
            loss=baseline.loss,
            loop=baseline.loop,
            augmentation=study.augmentation,
            schedule=baseline.schedule,
            keep=study.keep,
            seed=seed,
        )
    return made


def _ancestors(recipe: Recipe) -> list[Recipe]:
    """What it starts from, what that starts from, and so on."""
    return [] if recipe.base is None else [recipe.base, *_ancestors(recipe.base)]


def propose(trial: Trial, study: Study) -> Recipe:
    """Ask Optuna for every choice of one recipe that starts from the base.

    The space is conditional: importance and scope exist where something is pruned, steps where the attack is PGD.
    """
    space = study.space
    if space is None:
        raise TemperError(f"{study.name}: has no space to propose from")
    return Recipe(
        data=study.data,
        model=study.model,
        base=base_recipe(study),
        compression=_compression(trial, space.compression),
        quantization=_quantization(trial, space.quantization),
        perturbation=_perturbation(trial, space.perturbation),
        loss=_loss(trial, space.loss),
        augmentation=study.augmentation,
        schedule=_schedule(trial, space.schedule),
        keep=study.keep,
        seed=study.seed,
    )


def _compression(trial: Trial, space: CompressionSpace) -> Compression:
    if space.mac_ratio is not None:
        kept = round(trial.suggest_float("mac_ratio", space.mac_ratio.low, space.mac_ratio.high, log=True), 6)
        amount = {"mac_ratio": kept}
    else:
        low, high, step = space.pruning_ratio.low, space.pruning_ratio.high, space.pruning_ratio.step
        ratio = round(trial.suggest_float("pruning_ratio", low, high, step=step), 6)
        if ratio == 0:
            return NoCompression()
        amount = {"pruning_ratio": ratio}
    importance = trial.suggest_categorical("importance", space.importance)
    scope = trial.suggest_categorical("scope", space.scope)
    return ChannelPruning.model_validate({**amount, "importance": importance, "scope": scope})


def _quantization(trial: Trial, space: QuantizationSpace) -> Quantization | None:
    weights, activations = (
        cast(Bits, trial.suggest_categorical(name, bits)) if len(bits) > 1 else bits[0]
        for name, bits in (("weight_bits", space.weight_bits), ("activation_bits", space.activation_bits))
    )
    return None if weights == activations == 32 else Quantization(weight_bits=weights, activation_bits=activations)


def _perturbation(trial: Trial, space: PerturbationSpace) -> Perturbation:
    kind = trial.suggest_categorical("perturbation", space.kind)
    epsilon = round(trial.suggest_float("epsilon", space.epsilon.low, space.epsilon.high), 6)
    if kind == "fgsm":
        return FGSM(epsilon=epsilon, warm_up=space.warm_up)
    if kind == "n_fgsm":
        return NFGSM(epsilon=epsilon, warm_up=space.warm_up)
    steps = trial.suggest_int("attack_steps", space.steps.low, space.steps.high, log=space.steps.log)
    return PGD(norm=space.norm, epsilon=epsilon, steps=steps, warm_up=space.warm_up)


def _loss(trial: Trial, choices: tuple[Loss, ...]) -> Loss:
    """One of the space's losses, which Optuna sees as their JSON."""
    losses = {loss.model_dump_json(): loss for loss in choices}
    return losses[trial.suggest_categorical("loss", list(losses))] if len(losses) > 1 else choices[0]


def _schedule(trial: Trial, space: ScheduleSpace) -> Schedule:
    rate = trial.suggest_float("learning_rate", space.learning_rate.low, space.learning_rate.high, log=True)
    shape = space.shape[0]
    if len(space.shape) > 1:
        shape = cast(Shape, trial.suggest_categorical("shape", space.shape))
    return Schedule(
        epochs=trial.suggest_int("epochs", space.epochs.low, space.epochs.high, log=space.epochs.log),
        learning_rate=float(f"{rate:.6g}"),
        shape=shape,
        batch_size=space.batch_size,
        optimizer=space.optimizer,
        momentum=space.momentum,
        weight_decay=space.weight_decay,
        averaging=space.averaging,
    )
