"""Checks the network of a study before anything is trained, and says in words what was found.

It chooses what a study asks of its network: the compressed forms at the ends of the space, and every kind of attack.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from search.preflight.study_check import oddities
from search.preflight.weights_check import tried_weights
from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.study.study import Study
from trainables.attacks.config import PERTURBATION, PGD, Perturbation, UserAttack, attack_config
from trainables.compression.config import ChannelPruning, Compression, NoCompression, Quantization, UserCompression
from trainables.data.checks import darkness
from trainables.data.splits import Splits, pixel_statistics
from trainables.estimation.flops_planner import CPU
from trainables.models.build import normalization
from trainables.network_check.check import CheckedNetwork, check_network
from trainables.network_check.subject import Form, Subject
from trainables.recipe.recipe import Recipe
from trainables.value_forms import counted

IMAGES = 4  # training images that a network is checked on
PROPOSALS = 16  # random proposals among which ways of training are looked for
WAYS = 4  # most ways of training that are tried
STEPS = 2  # most steps of compression that are taken: the second is as all later ones
ENOUGH = 100  # validation images; scores on fewer differ by luck more than recipes do by merit
FLOAT = 32  # bits of numbers that are not quantized
NOT_TRIED = "network not tried (--no-try): what does not work with it shows in its trials"


def check_studys_network(study: Study, splits: Splits, say: Callable[[str], object]) -> tuple[str, ...]:
    """Do once, on a few images, all that a study will do with its network, and print what was found.

    Args:
        study: the study.
        splits: its data.
        say: prints a line.

    Returns:
        What was found, as lines of text: warnings, and notes such as on layers that are left as they are.

    Raises:
        InvalidInput: the search could not run; each message names the layer, the reason and what to do.
    """
    subject = subject_of(study, splits)
    dark = darkness(splits.train.images, study.data.name)
    few = few_scored(study.evaluation.examples, len(splits.validation))
    warnings = [f"warning: {one}" for one in [*filter(None, [dark, few]), *oddities(study)]]
    normalized = None if study.pretrained is None else normalization(study.model, subject.pixels)
    notes = [] if normalized is None else [f"note: {normalized}"]
    checked = lines_of(check_network(subject, say))
    lines = [*warnings, *notes, *tried_weights(study, splits), *checked]
    for line in lines:
        say(line)
    return tuple(lines[:-1])


def few_scored(asked: int | None, held_out: int) -> str:
    """Return in words that recipes are scored on few images, and how much of a difference is luck; empty if not.

    That is two standard errors of the difference of two accuracies of one half, each measured on so many images.

    Args:
        asked: images of the full score that the study asks for; None: all.
        held_out: validation images that there are.
    """
    scored = held_out if asked is None else min(asked, held_out)
    if scored >= ENOUGH:
        return ""
    points = 100 * 2 * math.sqrt(2 * 0.25 / scored)
    key, advice = ("data", "hold out") if scored == held_out else ("evaluation.examples", "score")
    score = f"{counted(scored, 'validation image')} {'scores' if scored == 1 else 'score'}"
    return (
        f"{key}: {score} the recipes, so a difference below {points:.0f} points is luck (two standard errors at one "
        f"half); {advice} {ENOUGH} or more"
    )


def tried(study: Study, splits: Splits, say: Callable[[str], object], *, tries: bool) -> tuple[str, ...]:
    """Do as `check_studys_network` if `tries`, else say and return that it was not done."""
    if tries:
        return check_studys_network(study, splits, say)
    say(NOT_TRIED)
    return (NOT_TRIED,)


def lines_of(checked: CheckedNetwork) -> list[str]:
    """Return what the checks of a network found, as lines of text; the last one sums up."""
    found = [f"{finding.kind}: {finding.text}" for finding in checked.findings]
    return [
        *found,
        f"network tried in {checked.seconds:.1f} s: {checked.parameters:,} parameters, dense and in "
        f"{counted(checked.forms, 'compressed form')}",
    ]


def subject_of(study: Study, splits: Splits) -> Subject:
    """Return what is checked of a study: its network on the first training images, and what it does with them."""
    images, labels = splits.train.tensors(CPU)
    return Subject(
        network=study.model,
        weights=study.pretrained,
        pixels=pixel_statistics(study.data, splits.train),
        x=images[:IMAGES].clone(),  # as they share memory with the data, which a network might change
        y=labels[:IMAGES].clone(),
        classes=splits.classes,
        seed=study.seed,
        forms=forms_of(study),
        attacks=attacks_of(study),
        recipes=recipes_of(study),
        leftover=leftover_of(study, len(splits.train)),
    )


def forms_of(study: Study) -> tuple[Form, ...]:
    """Return the compressed forms that stand for all that a study can come to.

    Of the space these are the most pruned form with every scope and every importance, the least pruned one, the fewest
    bits alone, and the fewest bits after the most pruning. Of baselines and the grid these are the ones that lie
    outside of the space. The user's own methods are left out, since `search.recipes.compressor_check` tries them.
    """
    forms: dict[tuple[Compression | Quantization, ...], Form] = {}
    for where, compression, quantization in (*_of_space(study), *_of_baselines(study), *_of_grid(study)):
        methods = (compression,) if quantization is None else (compression, quantization)
        if compression.method != "none" or quantization is not None:
            forms.setdefault(methods, Form(where, methods))
    return tuple(forms.values())


Asked = tuple[str, Compression, Quantization | None]  # the study's key, and what it asks for


def _of_space(study: Study) -> Iterator[Asked]:
    if study.space is None:
        return
    space, bits = study.space.compression, study.space.quantization
    pairs = [(space.scope[0], one) for one in space.importance] + [(one, space.importance[0]) for one in space.scope]
    steps = min(STEPS, max(space.steps))
    most, least = _ends(study)
    hardest: Compression = NoCompression()
    for number, (scope, importance) in enumerate(dict.fromkeys(pairs)):
        many = {**most, "scope": scope, "importance": importance, "steps": steps if number == 0 else 1}
        if "mac_ratio" in most or most["pruning_ratio"]:
            pruned = ChannelPruning.model_validate(many)
            hardest = pruned if number == 0 else hardest
            yield "space.compression", pruned, None
    if "mac_ratio" in least or least["pruning_ratio"]:
        few = {**least, "scope": space.scope[0], "importance": space.importance[0]}
        yield "space.compression", ChannelPruning.model_validate(few), None
    for number, other in enumerate(space.alternatives):
        if not isinstance(other, UserCompression):
            yield f"space.compression.alternatives.{number}", other, None
    weights, activations = min(bits.weight_bits), min(bits.activation_bits)
    if min(weights, activations) < FLOAT:
        quantized = Quantization(weight_bits=weights, activation_bits=activations)
        yield "space.quantization", NoCompression(), quantized
        yield "space", hardest, quantized


def _ends(study: Study) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how the space names its most and its least pruning, one of them twice if the space has one level."""
    assert study.space is not None
    macs, ratios = study.space.compression.mac_ratio, study.space.compression.pruning_ratio
    if macs is not None:
        return {"mac_ratio": macs.low}, {"mac_ratio": macs.high}
    return {"pruning_ratio": ratios.high}, {"pruning_ratio": ratios.low}


def _of_baselines(study: Study) -> Iterator[Asked]:
    for number, baseline in enumerate(study.baselines):
        if not isinstance(baseline.compression, UserCompression) and not _is_inside(study, baseline.compression):
            yield f"baselines.{number}.compression", baseline.compression, baseline.quantization
        elif baseline.quantization is not None:
            yield f"baselines.{number}.quantization", NoCompression(), baseline.quantization


def _is_inside(study: Study, compression: Compression) -> bool:
    """Return whether a form lies between two forms of the space that are checked."""
    if study.space is None or not isinstance(compression, ChannelPruning) or compression.pruning_ratio is None:
        return False
    space = study.space.compression
    known = compression.scope == space.scope[0] and compression.importance == space.importance[0]
    inside = space.pruning_ratio.low <= compression.pruning_ratio <= space.pruning_ratio.high
    return known and inside and space.mac_ratio is None and compression.steps <= max(space.steps)


def _of_grid(study: Study) -> Iterator[Asked]:
    grid = study.grid
    if grid is None:
        return
    for ratio in sorted({*grid.pruning_ratios[:1], *grid.pruning_ratios[-1:]}):
        pruning = ChannelPruning(pruning_ratio=ratio, importance=grid.importance, scope=grid.scope)
        yield "grid.pruning_ratios", pruning, None
    if grid.bits:
        fewest = min(grid.bits)
        yield "grid.bits", NoCompression(), Quantization(weight_bits=fewest, activation_bits=fewest)


def attacks_of(study: Study) -> dict[str, Perturbation]:
    """Return one attack of each kind and norm that a study names, by its key; the first is the threat model's."""
    threat = study.threat_model
    found: dict[str, Perturbation] = {
        "threat_model": PGD(norm=threat.norm, epsilon=threat.epsilon, steps=1),
        **{
            f"baselines.{number}.perturbation": baseline.perturbation for number, baseline in enumerate(study.baselines)
        },
    }
    if study.grid is not None:
        found |= {f"grid.arms.{number}.perturbation": arm.perturbation for number, arm in enumerate(study.grid.arms)}
    if study.space is not None:
        space = study.space.perturbation
        for number, kind in enumerate(space.kind):
            fields = attack_config(kind).model_fields
            given: dict[str, Any] = {"kind": kind, "epsilon": space.epsilon.high}
            given |= {"norm": space.norm} if "norm" in fields else {}
            given |= {"steps": 1} if "steps" in fields else {}
            found[f"space.perturbation.kind.{number}"] = PERTURBATION.validate_python(given)
    alike: dict[object, str] = {}  # kind and norm, or the user's attack with its settings, to the first key
    for key, attack in found.items():
        if attack.adversarial:
            own = isinstance(attack, UserAttack)
            alike.setdefault(attack if own else (attack.kind, getattr(attack, "norm", "linf")), key)
    return {key: found[key] for key in alike.values()}


def recipes_of(study: Study) -> dict[str, Recipe]:
    """Return one recipe of each way of training that a study names, by role and name; the first is the base.

    Ways differ in loss, loop, optimizer, averaging and precision. Those of the space are looked for in a few proposals.
    """
    fixed = FixedRecipes.of(study)
    named: dict[str, Recipe] = {fixed.base.role: fixed.base.recipe}
    named |= {f"{one.role} {one.name}": one.recipe for one in fixed.baselines}
    if study.space is not None and study.budget.trials:
        rng = np.random.default_rng(study.seed)
        named |= {f"proposal {number}": propose(RandomChooser(rng), study, fixed) for number in range(PROPOSALS)}
    ways: dict[object, str] = {}
    for name, recipe in named.items():
        schedule = recipe.schedule
        way = recipe.loss.kind, recipe.loop.kind, schedule.optimizer, schedule.averaging is None, recipe.precision
        if schedule.epochs and not isinstance(recipe.compression, UserCompression):
            ways.setdefault(way, name)
    return {name: named[name] for name in list(ways.values())[:WAYS]}


def leftover_of(study: Study, examples: int) -> str:
    """Return which batches of training have one image, and what to do; empty if none has.

    A last batch of one image is joined to the batch before (`trainables.training.batches`), so only a batch size of 1
    makes them, or a single training image.
    """
    if examples == 1:
        return "data: leaves 1 training image, expected at least 2"
    sizes = {"pretraining.batch_size": study.pretraining.batch_size} if study.pretraining else {}
    sizes |= {
        f"baselines.{number}.schedule.batch_size": one.schedule.batch_size for number, one in enumerate(study.baselines)
    }
    if study.grid is not None:
        arms = [(number, arm.schedule) for number, arm in enumerate(study.grid.arms)]
        sizes |= {f"grid.arms.{number}.schedule.batch_size": one.batch_size for number, one in arms if one is not None}
    searched = study.space.schedule.batch_size if study.space is not None else ()
    for where, size in (*sizes.items(), *(("space.schedule.batch_size", size) for size in searched)):
        if size == 1:
            return f"{where}: got 1, expected at least 2"
    return ""
