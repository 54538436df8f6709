"""From a study to recipes: the fixed ones, and proposals out of the conditional space."""

from dataclasses import dataclass
from typing import Literal

from optuna import Trial

from search.study import Study
from trainables.recipe import (
    NFGSM,
    PGD,
    ChannelPruning,
    Compression,
    NoCompression,
    Perturbation,
    Recipe,
    Schedule,
)

Role = Literal["base", "baseline", "proposed", "confirm"]


@dataclass(frozen=True)
class Fixed:
    """A recipe that nobody searches for."""

    role: Role
    name: str
    recipe: Recipe


def base_recipe(study: Study) -> Recipe:
    """Ordinary pretraining: no attack, no compression."""
    return Recipe(data=study.data, model=study.model, schedule=study.pretraining, seed=study.seed)


def fixed_recipes(study: Study) -> tuple[Fixed, ...]:
    """The base, then the baselines, in the order to run them."""
    baselines = (
        Fixed(
            "baseline",
            baseline.name,
            Recipe(
                data=study.data,
                model=study.model,
                perturbation=baseline.perturbation,
                schedule=baseline.schedule,
                seed=study.seed,
            ),
        )
        for baseline in study.baselines
    )
    return (Fixed("base", "base", base_recipe(study)), *baselines)


def propose(trial: Trial, study: Study) -> Recipe:
    """Ask Optuna for every choice of one recipe that starts from the base.

    The space is conditional: importance and scope exist where something is pruned, steps where the attack is PGD.
    """
    return Recipe(
        data=study.data,
        model=study.model,
        base=base_recipe(study),
        compression=_compression(trial, study),
        perturbation=_perturbation(trial, study),
        schedule=_schedule(trial, study),
        seed=study.seed,
    )


def _compression(trial: Trial, study: Study) -> Compression:
    space = study.space.compression
    low, high, step = space.pruning_ratio.low, space.pruning_ratio.high, space.pruning_ratio.step
    ratio = round(trial.suggest_float("pruning_ratio", low, high, step=step), 6)
    if ratio == 0:
        return NoCompression()
    importance = trial.suggest_categorical("importance", space.importance)
    scope = trial.suggest_categorical("scope", space.scope)
    return ChannelPruning.model_validate({"pruning_ratio": ratio, "importance": importance, "scope": scope})


def _perturbation(trial: Trial, study: Study) -> Perturbation:
    space = study.space.perturbation
    kind = trial.suggest_categorical("perturbation", space.kind)
    epsilon = round(trial.suggest_float("epsilon", space.epsilon.low, space.epsilon.high), 6)
    if kind == "n_fgsm":
        return NFGSM(epsilon=epsilon)
    steps = trial.suggest_int("attack_steps", space.steps.low, space.steps.high, log=space.steps.log)
    return PGD(epsilon=epsilon, steps=steps)


def _schedule(trial: Trial, study: Study) -> Schedule:
    space = study.space.schedule
    rate = trial.suggest_float("learning_rate", space.learning_rate.low, space.learning_rate.high, log=True)
    return Schedule(
        epochs=trial.suggest_int("epochs", space.epochs.low, space.epochs.high, log=space.epochs.log),
        learning_rate=float(f"{rate:.6g}"),
        batch_size=space.batch_size,
        momentum=space.momentum,
        weight_decay=space.weight_decay,
    )
