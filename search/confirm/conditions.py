"""Measures the trained networks of a confirmation on Ray under conditions that they were not trained for."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch

from cluster.placement.placement import Placement
from search.confirm.plan import Plan
from search.confirm.work import Work
from search.study.study import Study
from trainables.assessment.attack_record import AttackSetting
from trainables.assessment.recording import hash_of
from trainables.checkpoints.checkpoint import read_result
from trainables.checkpoints.trained_model import rebuild
from trainables.conditions.measurement import measure_conditions
from trainables.conditions.record import THE_BASE, conditions_file, read_conditions
from trainables.data.drawing import drawn
from trainables.data.other_data import load_other
from trainables.data.splits import Examples, Splits
from trainables.execution.pipeline import set_conditions
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.user_modules import go_to_work

OtherData = dict[str, Examples]  # images of other data sets of the same classes, by the data set's name
Sources = dict[str, Recipe]  # recipes of networks whose adversarial examples are tried on another, by name


def sources_of(plan: Plan, recipe: Recipe, seed: int) -> Sources:
    """Return whose adversarial examples are tried on a network: the ordinary base's, and what picks are held against.

    All are of the network's own seed. The base is that of any recipe that has one, so that the same is tried on all.

    Args:
        plan: the plan of the confirmation.
        recipe: the recipe of the network.
        seed: its seed.
    """
    made = [(one, other) for one, its_seed, other in plan.recipes() if its_seed == seed]
    base = next((first for _, other in made if (first := _first(other)) is not other), None)
    found = {} if base is None or base.id == recipe.id else {THE_BASE: base}
    found |= {one.name: other for one, other in made if one.part == "against" and other.id != recipe.id}
    return found


def _first(recipe: Recipe) -> Recipe:
    """Return the recipe that a recipe's bases go back to."""
    return recipe if recipe.base is None else _first(recipe.base)


def measure_trial(
    recipe: Recipe,
    sources: Sources,
    trials: Folder,
    splits: Splits,
    placement: Placement,
    test: Examples,
    other: OtherData,
    setting: AttackSetting,
) -> str | None:
    """Measure one trained network, and write what was found beside it. Returns None, or what went wrong in words."""
    go_to_work()
    set_conditions(placement.cpu)
    device, networks = torch.device(placement.device), {}
    for name, one in {"": recipe, **sources}.items():
        checkpoint = trials.child(one.id, "checkpoint")
        weights = read_result(checkpoint, epochs=max(1, one.schedule.epochs), best=one.keep == "best")
        if weights is None:
            return f"{checkpoint}: no whole checkpoint of the last epoch in it"
        networks[name] = rebuild(one, splits, weights).to(device)
    model = networks.pop("")
    images, labels = test.tensors(device)
    others = {name: one.tensors(device) for name, one in other.items()}
    threat = setting.threat_model
    found = measure_conditions(model, images, labels, threat, sources=networks, other_data=others, seed=setting.seed)
    found = replace(found, images=hash_of(images, labels))
    # Another confirmation may have held the same network against others.
    found = found.with_those_of(read_conditions(trials.child(recipe.id), setting, ()))
    trials.child(recipe.id).write_json(conditions_file(setting), found.as_json(), lasting=True)
    return None


def other_data_of(study: Study, splits: Splits, examples: int | None) -> OtherData:
    """Return the test images of the other data set that a study names, by its name; empty where it names none.

    Args:
        study: the study.
        splits: its own data, whose form the other's images must have.
        examples: how many images are drawn; None: all.

    Raises:
        InvalidInput: they have another form, or classes that the study's data lack.
    """
    other = study.other_data
    if other is None:
        return {}
    name = other.name if other.path is None else Path(other.path).name
    return {name: drawn(load_other(other, splits), examples)}


def conditions(plan: Plan, finished: Collection[str], trials: Folder, test: Examples, other: OtherData) -> Work:
    """Return the measurements that are left to do.

    Args:
        plan: the plan of the confirmation.
        finished: ids of the trials whose networks are trained; others have no measurement, and are no source.
        trials: the run's trials/ folder.
        test: the images.
        other: those of other data sets, by their names.
    """
    setting, left = plan.setting, list[tuple[Recipe, tuple[Recipe, Sources, Folder]]]()
    for seed, recipe in plan.networks():
        if recipe.id not in finished:
            continue
        sources = {name: one for name, one in sources_of(plan, recipe, seed).items() if one.id in finished}
        found = read_conditions(trials.child(recipe.id), setting, sources, other)
        if found is None or found.images not in ("", plan.images):
            left.append((recipe, (recipe, sources, trials)))

    def told(recipe: Recipe) -> str:
        found = read_conditions(trials.child(recipe.id), setting, ())
        assert found is not None, "it was written a moment ago"
        return f"corrupted {found.corrupted:.3f}, at twice the epsilon {found.by_epsilon[2.0]:.3f}"

    return Work(
        words=f"measuring {{}} networks under other conditions on {len(test):,} test images",
        verb="measuring",
        task=measure_trial,
        left=left,
        shared=(test, other, setting),
        told=told,
    )
