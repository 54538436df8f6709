"""Attacks the trained networks of a confirmation on Ray, on the test split, and keeps what was found beside them."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from cluster.placement.placement import Placement
from search.confirm.plan import Plan
from search.confirm.work import Work
from trainables.assessment.attack_record import AttackSetting, read_attack
from trainables.assessment.deployed import DeployedEvaluation, evaluate_deployed
from trainables.assessment.evaluate_model import Evaluation, evaluate_model
from trainables.assessment.recording import record_of
from trainables.checkpoints.checkpoint import read_result
from trainables.checkpoints.deployed_model import DeployedModel, deployed_model
from trainables.checkpoints.trained_model import rebuild
from trainables.data.splits import Examples, Splits
from trainables.errors import InvalidInput
from trainables.execution.pipeline import set_conditions
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.user_modules import go_to_work


def attack_trial(
    recipe: Recipe, trial: Folder, splits: Splits, placement: Placement, test: Examples, setting: AttackSetting
) -> str | None:
    """Attack one trained network, and write what was found beside it. Returns None, or what went wrong in words."""
    go_to_work()
    set_conditions(placement.cpu)
    weights = read_result(trial.child("checkpoint"), epochs=max(1, recipe.schedule.epochs), best=recipe.keep == "best")
    if weights is None:
        return f"{trial}: no whole checkpoint of the last epoch in it"
    device = torch.device(placement.device)
    images, labels = test.tensors(device)
    model = rebuild(recipe, splits, weights).to(device)
    found = evaluate_model(model, images, labels, setting.threat_model, attack=setting.attack, seed=setting.seed)
    record = record_of(found, images, labels)
    if recipe.quantization is not None:
        try:
            file = deployed_model(recipe, splits, weights)
        except InvalidInput as problem:
            reason = f"the file that it is deployed as cannot be attacked: {problem}"
            record = replace(record, unreliable=(*record.unreliable, reason))
        else:
            record = record_of(found, images, labels, _as_file(file, found, test, setting))
    trial.write_json(setting.file, record.as_json(), lasting=True)
    return None


def _as_file(file: DeployedModel, found: Evaluation, test: Examples, setting: AttackSetting) -> DeployedEvaluation:
    images, labels = test.tensors(torch.device("cpu"))
    return evaluate_deployed(
        file.file,
        images,
        labels,
        setting.threat_model,
        adversarial=found.adversarial.cpu(),
        parent=file.parent,
        attack=setting.attack,
        seed=setting.seed,
    )


def attacks(trained: Iterable[Recipe], trials: Folder, test: Examples, plan: Plan) -> Work:
    """Return the attacks that are left to do: of trained networks that were not attacked so, or on other images.

    Args:
        trained: recipes of the trained networks.
        trials: the run's trials/ folder.
        test: the images to attack.
        plan: the plan of the confirmation, which says by what, and knows the images.
    """
    setting = plan.setting

    def is_done(recipe: Recipe) -> bool:
        record = read_attack(trials.child(recipe.id), setting)
        return record is not None and record.images == plan.images

    def told(recipe: Recipe) -> str:
        record = read_attack(trials.child(recipe.id), setting)
        assert record is not None, "it was written a moment ago"
        doubt = f"  UNRELIABLE: {record.unreliable[0]}" if record.unreliable else ""
        return f"robust {record.counted.mean():.3f}{doubt}"

    return Work(
        words=f"attacking {{}} networks on {len(test):,} test images ({setting.attack} ensemble)",
        verb="attacking",
        task=attack_trial,
        left=[(recipe, (recipe, trials.child(recipe.id))) for recipe in trained if not is_done(recipe)],
        shared=(test, setting),
        told=told,
    )
