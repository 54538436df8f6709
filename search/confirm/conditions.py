"""Measures the trained networks of a confirmation on Ray under conditions that they were not trained for."""

from collections.abc import Collection

import torch

from cluster.placement.placement import Placement
from search.confirm.plan import Plan
from search.confirm.work import Work
from trainables.assessment.attack_record import AttackSetting
from trainables.checkpoints.checkpoint import read_result
from trainables.checkpoints.trained_model import rebuild
from trainables.conditions.measurement import measure_conditions
from trainables.conditions.record import conditions_file, read_conditions
from trainables.data.splits import Examples, Splits
from trainables.execution.pipeline import set_conditions
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.user_modules import go_to_work

THE_BASE = "base"
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
    found = {} if base is None else {THE_BASE: base}
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
    found = measure_conditions(model, images, labels, setting.threat_model, sources=networks, seed=setting.seed)
    trials.child(recipe.id).write_json(conditions_file(setting), found.as_json())
    return None


def conditions(plan: Plan, finished: Collection[str], trials: Folder, test: Examples) -> Work:
    """Return the measurements that are left to do.

    Args:
        plan: the plan of the confirmation.
        finished: ids of the trials whose networks are trained; others have no measurement, and are no source.
        trials: the run's trials/ folder.
        test: the images.
    """
    setting, left = plan.setting, []
    for _, seed, recipe in plan.recipes():
        if recipe.id not in finished:
            continue
        sources = {name: one for name, one in sources_of(plan, recipe, seed).items() if _is_trained(one, trials)}
        if read_conditions(trials.child(recipe.id), setting, sources) is None:
            left.append((recipe, (recipe, sources, trials)))

    def told(recipe: Recipe) -> str:
        found = read_conditions(trials.child(recipe.id), setting, ())
        assert found is not None, "it was written a moment ago"
        return f"corrupted {found.corrupted:.3f}, at twice the epsilon {found.by_epsilon[2.0]:.3f}"

    return Work(
        words=f"measuring {{}} networks under other conditions on {len(test):,} test images",
        task=measure_trial,
        left=left,
        shared=(test, setting),
        told=told,
    )


def _is_trained(recipe: Recipe, trials: Folder) -> bool:
    return trials.child(recipe.id).exists("outcome.json")
