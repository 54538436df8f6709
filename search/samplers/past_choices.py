"""Reads off a recipe of an earlier run the choices by which a study's own space would have come to it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import PRUNING, propose
from search.study.space import BASE, SCRATCH
from search.study.study import Study
from trainables.compression.config import ChannelPruning, NoCompression
from trainables.losses.config import CrossEntropy
from trainables.recipe.recipe import Recipe

FLOAT = 32  # bits of numbers that are not quantized


def past_choices(
    recipe: Recipe, params: Mapping[str, Any], study: Study, fixed: FixedRecipes
) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return what a study's sampler would have chosen to come to a recipe, whatever the earlier study searched over.

    What the earlier study held fixed is a choice here if this study searches it. What this study holds fixed is not
    compared.

    Args:
        recipe: a proposal of an earlier run.
        params: what that run's sampler chose, by name. A number in it is exact where the recipe's is rounded.
        study: the study that begins.
        fixed: its fixed recipes.

    Returns:
        The parameters, and the distributions that this study chooses them from, as Optuna's JSON; None if its space
        does not hold the recipe.
    """
    chooser = _PastChooser([params, _choices_of(recipe, study, fixed)])
    try:
        propose(chooser, study, fixed)
    except _Elsewhere:
        return None
    return chooser.params, chooser.distributions


class _Elsewhere(Exception):
    """A choice that made the recipe is not offered here."""


class _PastChooser(RandomChooser):
    """Chooses what made a recipe, and draws nothing."""

    def __init__(self, known: Sequence[Mapping[str, Any]]) -> None:
        """Choose from parameters by name: of several under one name, the first that is offered."""
        super().__init__(np.random.default_rng(0), {})
        self._known = known

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        def is_offered(value: Any) -> bool:
            steps = 0.0 if step is None else (value - low) / step
            return bool(low <= value <= high and abs(steps - round(steps)) < 1e-6)

        self._take(name, is_offered)
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self._take(name, range(low, high + 1, step).__contains__)
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._take(name, choices.__contains__)
        return super().suggest_categorical(name, choices)

    def _take(self, name: str, is_offered: Callable[[Any], bool]) -> None:
        values = [params[name] for params in self._known if name in params]
        offered = [value for value in values if is_offered(value)]
        if not offered:
            raise _Elsewhere(name)
        self._chosen = {name: offered[0]}


def _choices_of(recipe: Recipe, study: Study, fixed: FixedRecipes) -> dict[str, Any]:
    """Return every choice that `search.recipes.proposals` may ask for, as a recipe has it."""
    schedule, perturbation, quantization = recipe.schedule, recipe.perturbation, recipe.quantization
    chosen: dict[str, Any] = {
        "base": SCRATCH if recipe.base is None else BASE,
        "weight_bits": FLOAT if quantization is None else quantization.weight_bits,
        "activation_bits": FLOAT if quantization is None else quantization.activation_bits,
        "perturbation": perturbation.kind,
        "attack_steps": getattr(perturbation, "steps", None),
        "epsilon": getattr(perturbation, "epsilon", None),
        "warm_up": getattr(perturbation, "warm_up", None),
        "loop": recipe.loop.model_dump_json(),
        "distillation_weight": 0.0 if recipe.distillation is None else recipe.distillation.weight,
        **{name: getattr(schedule, name) for name in ("epochs", "learning_rate", "shape", "batch_size", "optimizer")},
        **{name: getattr(schedule, name) for name in ("momentum", "weight_decay", "averaging")},
    }
    if schedule.averaging is not None:
        chosen["averaging_rate"] = 1 - schedule.averaging
    if recipe.base is not None:
        chosen["pretraining_epochs"] = recipe.base.schedule.epochs
    chosen = {name: value for name, value in chosen.items() if value is not None or name == "averaging"}
    return chosen | _of_compression(recipe, study) | _of_loss(recipe, study) | _of_distillation(recipe, fixed)


def _of_compression(recipe: Recipe, study: Study) -> dict[str, Any]:
    compression = recipe.compression
    listed = study.space is not None and compression in study.space.compression.alternatives
    if isinstance(compression, NoCompression) and not listed:
        return {"compression": PRUNING, "pruning_ratio": 0.0}
    if not isinstance(compression, ChannelPruning):
        return {"compression": compression.model_dump_json()}
    amounts = {"pruning_ratio": compression.pruning_ratio, "mac_ratio": compression.mac_ratio}
    return {
        "compression": PRUNING,
        "importance": compression.importance,
        "scope": compression.scope,
        "pruning_steps": compression.steps,
        **{name: amount for name, amount in amounts.items() if amount is not None},
    }


def _of_loss(recipe: Recipe, study: Study) -> dict[str, Any]:
    """Return the choices of a loss; where smoothing is a choice of its own, the loss is as the space lists it."""
    loss, space = recipe.loss, study.space
    if not isinstance(loss, CrossEntropy):
        return {"loss": loss.model_dump_json()}
    smooths = space is not None and space.label_smoothing is not None
    listed = [one for one in space.loss if isinstance(one, CrossEntropy)] if space is not None and smooths else []
    return {"label_smoothing": loss.label_smoothing, "loss": (listed or [loss])[0].model_dump_json()}


def _of_distillation(recipe: Recipe, fixed: FixedRecipes) -> dict[str, Any]:
    if recipe.distillation is None:
        return {}
    teacher = recipe.distillation.teacher
    names = [BASE] if teacher is None else [one.name for one in (fixed.base, *fixed.baselines) if one.recipe == teacher]
    taught = {asked: name for name in names for asked in ("teacher", "teacher_from_scratch")}
    return {"temperature": recipe.distillation.temperature} | taught
