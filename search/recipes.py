"""From a study to recipes: the fixed ones, and proposals out of the conditional space."""

from dataclasses import dataclass
from typing import Literal, cast

from optuna import Trial

from search.study import BASE, Study
from trainables.recipe import Bits, ChannelPruning, Compression, NoCompression, Quantization, Recipe
from trainables.regime import FGSM, NFGSM, PGD, Loss, Perturbation, Schedule, Shape

AS_IT_IS = Schedule(epochs=0, learning_rate=1.0)
Role = Literal["base", "baseline", "proposed", "confirm"]


@dataclass(frozen=True)
class Fixed:
    """A recipe that nobody searches for."""

    role: Role
    name: str
    recipe: Recipe


def base_recipe(study: Study) -> Recipe:
    """Ordinary pretraining, or the user's file of weights as it is: no attack, no compression."""
    return Recipe(
        data=study.data,
        model=study.model,
        weights=study.pretrained,
        augmentation=study.augmentation,
        schedule=study.pretraining or AS_IT_IS,
        keep=study.keep,
        seed=study.seed,
    )


def fixed_recipes(study: Study) -> tuple[Fixed, ...]:
    """The base, then the baselines, in the order to run them: what a recipe starts from comes before it."""
    made = {BASE: base_recipe(study)}
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
            seed=study.seed,
        )
    return tuple(Fixed("base" if name == BASE else "baseline", name, recipe) for name, recipe in made.items())


def parents(study: Study) -> frozenset[str]:
    """Ids of the recipes that others start from."""
    started = (fixed.recipe.base for fixed in fixed_recipes(study))
    return frozenset({base_recipe(study).id, *(base.id for base in started if base is not None)})


def propose(trial: Trial, study: Study) -> Recipe:
    """Ask Optuna for every choice of one recipe that starts from the base.

    The space is conditional: importance and scope exist where something is pruned, steps where the attack is PGD.
    Pruning takes no more steps than there are epochs.
    """
    compression, quantization = _compression(trial, study), _quantization(trial, study)
    perturbation, loss, schedule = _perturbation(trial, study), _loss(trial, study), _schedule(trial, study)
    if compression.method == "channel_pruning":
        compression = compression.model_copy(update={"steps": min(compression.steps, schedule.epochs)})
    return Recipe(
        data=study.data,
        model=study.model,
        base=base_recipe(study),
        compression=compression,
        quantization=quantization,
        perturbation=perturbation,
        loss=loss,
        augmentation=study.augmentation,
        schedule=schedule,
        keep=study.keep,
        seed=study.seed,
    )


def _compression(trial: Trial, study: Study) -> Compression:
    space = study.space.compression
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
    steps = space.steps[0]
    if len(space.steps) > 1:
        steps = trial.suggest_categorical("pruning_steps", space.steps)
    return ChannelPruning.model_validate({**amount, "steps": steps, "importance": importance, "scope": scope})


def _quantization(trial: Trial, study: Study) -> Quantization | None:
    space = study.space.quantization
    weights, activations = (
        cast(Bits, trial.suggest_categorical(name, bits)) if len(bits) > 1 else bits[0]
        for name, bits in (("weight_bits", space.weight_bits), ("activation_bits", space.activation_bits))
    )
    return None if weights == activations == 32 else Quantization(weight_bits=weights, activation_bits=activations)


def _perturbation(trial: Trial, study: Study) -> Perturbation:
    space = study.space.perturbation
    kind = trial.suggest_categorical("perturbation", space.kind)
    epsilon = round(trial.suggest_float("epsilon", space.epsilon.low, space.epsilon.high), 6)
    if kind == "fgsm":
        return FGSM(epsilon=epsilon, warm_up=space.warm_up)
    if kind == "n_fgsm":
        return NFGSM(epsilon=epsilon, warm_up=space.warm_up)
    steps = trial.suggest_int("attack_steps", space.steps.low, space.steps.high, log=space.steps.log)
    return PGD(norm=space.norm, epsilon=epsilon, steps=steps, warm_up=space.warm_up)


def _loss(trial: Trial, study: Study) -> Loss:
    """One of the space's losses, which Optuna sees as their JSON."""
    losses = {loss.model_dump_json(): loss for loss in study.space.loss}
    return losses[trial.suggest_categorical("loss", list(losses))] if len(losses) > 1 else study.space.loss[0]


def _schedule(trial: Trial, study: Study) -> Schedule:
    space = study.space.schedule
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
