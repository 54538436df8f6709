"""Makes recipes out of the parameters that a sampler chooses from a study's conditional space."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Protocol, TypeVar, cast

from search.recipes.fixed import FixedRecipes
from search.study.ranges import DecayRange, IntRange, Levelled, Shares
from search.study.space import (
    BASE,
    CompressionSpace,
    DistillationSpace,
    PerturbationSpace,
    QuantizationSpace,
    ScheduleSpace,
)
from search.study.study import Study
from trainables.attacks.config import PERTURBATION, Perturbation, attack_config
from trainables.compression.config import Bits, ChannelPruning, Compression, NoCompression, Quantization
from trainables.config import Frozen
from trainables.errors import TemperError
from trainables.losses.config import CrossEntropy, Loss
from trainables.recipe.compatibility import unfit
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import Schedule, Shape

PRUNING = "channel_pruning"  # the choice of pruning, in a space that has alternatives to it
Part = TypeVar("Part", bound=Frozen)
Choice = TypeVar("Choice", bound=float | str | None)


class Chooser(Protocol):
    """Chooses parameters by name: an Optuna trial, or one of `search.recipes.choosers`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def propose(trial: Chooser, study: Study, fixed: FixedRecipes) -> Recipe:
    """Make one recipe, with every free choice left to a chooser.

    The space is conditional, so some parameters are asked for only after certain choices: those of pruning if no
    alternative to it was chosen; importance, scope and steps if something is pruned; attack steps if the attack has
    some; the weight of soft labels if there is a teacher, and temperature and teacher if that weight is not 0; the loop
    if a free one fits the choices before; the length of pretraining if the proposal starts from the base.
    Compression takes no more steps than there are epochs.

    Args:
        trial: chooses each parameter by its name.
        study: the study, from whose space it chooses.
        fixed: the study's fixed recipes, among them the base and the teachers.
    """
    space = study.space
    if space is None:
        raise TemperError(f"{study.name}: has no space to propose from")
    start = _choice(trial, "base", space.base)
    compression, quantization = _compression(trial, space.compression), _quantization(trial, space.quantization)
    perturbation, loss = _perturbation(trial, space.perturbation), _of_models(trial, "loss", space.loss)
    distillation = _distillation(trial, space.distillation, fixed, start)
    if space.label_smoothing is not None:
        loss = _smoothed(trial, loss, space.label_smoothing, distillation)
    loop = _of_models(trial, "loop", [one for one in space.loop if not unfit(perturbation, loss, one, distillation)])
    schedule = _schedule(trial, space.schedule)
    if compression.steps > schedule.epochs:
        compression = compression.model_copy(update={"steps": schedule.epochs})
    return Recipe(
        data=study.data,
        model=study.model,
        base=fixed.base_of(_pretraining_epochs(trial, space.pretraining_epochs)) if start == BASE else None,
        compression=compression,
        quantization=quantization,
        perturbation=perturbation,
        loss=loss,
        loop=loop,
        distillation=distillation,
        augmentation=study.augmentation,
        schedule=schedule,
        keep=study.keep,
        precision=study.precision_with(quantization),
        seed=study.seed,
    )


def _pretraining_epochs(trial: Chooser, lengths: IntRange | None) -> int | None:
    if lengths is None:
        return None
    return _int(trial, "pretraining_epochs", lengths)


def _compression(trial: Chooser, space: CompressionSpace) -> Compression:
    if not space.alternatives:
        return _pruning(trial, space)
    others = {one.model_dump_json(): one for one in space.alternatives}
    chosen = trial.suggest_categorical("compression", [PRUNING, *others])
    return _pruning(trial, space) if chosen == PRUNING else others[chosen]


def _pruning(trial: Chooser, space: CompressionSpace) -> Compression:
    if space.mac_ratio is not None:
        kept = round(_float(trial, "mac_ratio", space.mac_ratio, log=True), 6)
        amount = "mac_ratio", kept
    else:
        low, high, step = space.pruning_ratio.low, space.pruning_ratio.high, space.pruning_ratio.step
        ratio = round(trial.suggest_float("pruning_ratio", low, high, step=step), 6)
        if ratio == 0:
            return NoCompression()
        amount = "pruning_ratio", ratio
    importance = trial.suggest_categorical("importance", space.importance)
    scope = trial.suggest_categorical("scope", space.scope)
    steps = _choice(trial, "pruning_steps", space.steps)
    return _channel_pruning(*amount, steps, importance, scope)


@lru_cache(maxsize=1024)  # of two hundred candidates of each proposal many are pruned alike
def _channel_pruning(name: str, amount: float, steps: int, importance: str, scope: str) -> ChannelPruning:
    return ChannelPruning.model_validate({name: amount, "steps": steps, "importance": importance, "scope": scope})


def _quantization(trial: Chooser, space: QuantizationSpace) -> Quantization | None:
    weights, activations = (
        cast(Bits, trial.suggest_categorical(name, bits)) if len(bits) > 1 else bits[0]
        for name, bits in (("weight_bits", space.weight_bits), ("activation_bits", space.activation_bits))
    )
    return None if weights == activations == 32 else Quantization(weight_bits=weights, activation_bits=activations)


def _perturbation(trial: Chooser, space: PerturbationSpace) -> Perturbation:
    """Choose the attack's kind, warm-up and epsilon, and its number of steps if the kind has such a field."""
    kind = trial.suggest_categorical("perturbation", space.kind)
    warm_up = _choice(trial, "warm_up", space.warm_up)
    epsilon = round(_float(trial, "epsilon", space.epsilon, log=False), 6)
    config = attack_config(kind)
    given: dict[str, Any] = {"kind": kind, "epsilon": epsilon, "warm_up": warm_up}
    if "norm" in config.model_fields:
        given["norm"] = space.norm
    if "steps" in config.model_fields:
        given["steps"] = _int(trial, "attack_steps", space.steps)
    return PERTURBATION.validate_python(given)


def _of_models(trial: Chooser, name: str, choices: Sequence[Part]) -> Part:
    """Choose one of the space's losses or loops, which Optuna knows by their JSON."""
    if len(choices) == 1:
        return choices[0]
    models = {choice.model_dump_json(): choice for choice in choices}
    return models[trial.suggest_categorical(name, list(models))] if len(models) > 1 else choices[0]


def _distillation(trial: Chooser, space: DistillationSpace, fixed: FixedRecipes, start: str) -> Distillation | None:
    """Choose how much a proposal learns from which teacher. From scratch, the base is not among its teachers.

    The choice among other teachers then has a name of its own, since Optuna allows the same choices only under a name.
    """
    teachers, asked = space.teacher, "teacher"
    if start != BASE and BASE in teachers:
        teachers, asked = tuple(name for name in teachers if name != BASE), "teacher_from_scratch"
    if not teachers:
        return None
    weight = round(_number(trial, "distillation_weight", space.weight), 6)
    if weight == 0:
        return None
    temperature = float(f"{_number(trial, 'temperature', space.temperature, log=True):.6g}")
    name = _choice(trial, asked, teachers)
    return Distillation(temperature=temperature, weight=weight, teacher=None if name == BASE else fixed.named(name))


def _smoothed(trial: Chooser, loss: Loss, smoothing: Shares, distillation: Distillation | None) -> Loss:
    """Choose how much cross-entropy smooths its labels, unless soft labels stand in place of all of them."""
    if not isinstance(loss, CrossEntropy) or (distillation is not None and distillation.weight == 1):
        return loss
    return CrossEntropy(label_smoothing=round(_number(trial, "label_smoothing", smoothing), 6))


def _number(trial: Chooser, name: str, given: float | tuple[float, ...] | Levelled, *, log: bool = False) -> float:
    """Choose a number from a range or a list, or return the single one that is given."""
    if isinstance(given, Levelled):
        return _float(trial, name, given, log=log)
    return _choice(trial, name, given) if isinstance(given, tuple) else given


def _averaging(trial: Chooser, given: tuple[float | None, ...] | DecayRange) -> float | None:
    """Choose a decay. Of a whole range 1 - decay is asked for, as Optuna draws that on a logarithmic scale."""
    if not isinstance(given, DecayRange):
        return _choice(trial, "averaging", given)
    if given.low == given.high:
        return given.low
    if given.levels is not None:
        return float(trial.suggest_categorical("averaging", _decays(given)))
    rate = trial.suggest_float("averaging_rate", given.rates.low, given.rates.high, log=True)
    return float(f"{1 - float(f'{rate:.4g}'):.9g}")


@cache
def _decays(span: DecayRange) -> tuple[float, ...]:
    return span.decays


def _float(trial: Chooser, name: str, span: Levelled, *, log: bool) -> float:
    """Choose a number from a range or its levels; the only number of a range is not asked for, as a single choice."""
    levels = _levels(span, log=log)
    if span.low == span.high:
        return span.low
    if levels:
        return float(trial.suggest_categorical(name, levels))
    return trial.suggest_float(name, span.low, span.high, log=log)


@cache
def _levels(span: Levelled, *, log: bool) -> tuple[float, ...]:
    return tuple(float(f"{level:.6g}") for level in span.values(log=log))


def _int(trial: Chooser, name: str, span: IntRange) -> int:
    if span.levels is not None:
        return int(trial.suggest_categorical(name, _numbers(span)))
    return trial.suggest_int(name, int(span.low), int(span.high), log=span.log)


@cache
def _numbers(span: IntRange) -> tuple[int, ...]:
    return span.numbers


def _choice(trial: Chooser, name: str, choices: tuple[Choice, ...]) -> Choice:
    return trial.suggest_categorical(name, choices) if len(choices) > 1 else choices[0]


def _schedule(trial: Chooser, space: ScheduleSpace) -> Schedule:
    rate = _float(trial, "learning_rate", space.learning_rate, log=True)
    shape = space.shape[0]
    if len(space.shape) > 1:
        shape = cast(Shape, trial.suggest_categorical("shape", space.shape))
    return Schedule(
        epochs=_int(trial, "epochs", space.epochs),
        learning_rate=float(f"{rate:.6g}"),
        shape=shape,
        batch_size=_choice(trial, "batch_size", space.batch_size),
        optimizer=_choice(trial, "optimizer", space.optimizer),
        momentum=_number(trial, "momentum", space.momentum),
        weight_decay=float(f"{_number(trial, 'weight_decay', space.weight_decay, log=True):.6g}"),
        averaging=_averaging(trial, space.averaging),
    )
