"""Attacks the trained networks of a confirmation on Ray, on the test split, and keeps what was found beside them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from cluster.placement.placement import Placement
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

RETRIES = 3  # of an attack whose node was lost


def attack_trial(
    recipe: Recipe, trial: Folder, splits: Splits, test: Examples, setting: AttackSetting, placement: Placement
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
    trial.write_json(setting.file, record.as_json())
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


def attack(
    recipes: Sequence[Recipe],
    trials: Folder,
    splits: Splits,
    test: Examples,
    setting: AttackSetting,
    *,
    placement: Placement,
    say: Callable[[str], None],
    check: Callable[[], object],
) -> None:
    """Attack trained networks that were not attacked so yet, as many at once as the cluster has room for.

    Args:
        recipes: their recipes.
        trials: the run's trials/ folder.
        splits: the data that they were trained on.
        test: the images to attack.
        setting: by what.
        placement: what each attack takes, and on which nodes.
        say: prints a line.
        check: is called while it waits, and raises if it must end.

    Raises:
        InvalidInput: a network cannot be attacked.
    """
    import ray

    trials = trials.anchored()
    left = [recipe for recipe in recipes if read_attack(trials.child(recipe.id), setting) is None]
    if not left:
        return
    options: dict[str, Any] = {"num_cpus": placement.cpu, "num_gpus": placement.gpu, "max_retries": RETRIES}
    if placement.labels:
        options["label_selector"] = dict(placement.labels)
    task = ray.remote(**options)(attack_trial)
    shared = ray.put(splits), ray.put(test)
    running = {task.remote(one, trials.child(one.id), *shared, setting, placement): one for one in left}
    say(f"attacking {len(left)} networks on {len(test):,} test images ({setting.attack} ensemble)")
    done = 0
    try:
        while running:
            check()
            ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
            for one in ready:
                recipe = running.pop(one)
                problem = ray.get(one)
                if problem is not None:
                    raise InvalidInput(problem)
                done += 1
                record = read_attack(trials.child(recipe.id), setting)
                assert record is not None, "it was written a moment ago"
                doubt = f"  UNRELIABLE: {record.unreliable[0]}" if record.unreliable else ""
                say(f"{done:4d}/{len(left)}  {recipe.id[:8]}  robust {record.robust.mean():.3f}{doubt}")
    finally:
        for one in running:
            ray.cancel(one, force=True)
