"""Who is confirmed: reseeded with all that they start from, and fast opponents that cost what the pick does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.confirm.contenders import Contender, best_of, is_fast, opponents, reseeded
from search.confirm.plan import Plan, check_test_images, fresh_seeds, write_plan
from search.study.loading import load
from search.study.study import Baseline, Study
from tests.support.confirmations import confirmed_run
from tests.support.run_directories import worked_example
from trainables.assessment.attack_record import AttackSetting
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ThreatModel
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

PLAIN: dict[str, Any] = {
    "data": {"name": "digits", "train_size": 300, "validation_size": 100},
    "model": {"name": "small"},
    "schedule": {"epochs": 5, "learning_rate": 0.1},
}
FAST = {"kind": "n_fgsm", "epsilon": 0.2}
PRUNED = {"method": "channel_pruning", "pruning_ratio": 0.5}
SETTING = AttackSetting(ThreatModel(epsilon=0.2), "standard", 100)


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(PLAIN | {"perturbation": FAST} | changes)


def test_a_fresh_seed_is_that_of_all_that_a_recipe_starts_from() -> None:
    taught = recipe(base=PLAIN, distillation={"teacher": PLAIN | {"perturbation": FAST, "base": PLAIN}})
    fresh = reseeded(taught, 1000)
    assert fresh.base is not None
    assert fresh.teacher is not None
    assert fresh.teacher.base is not None
    assert {fresh.seed, fresh.base.seed, fresh.teacher.seed, fresh.teacher.base.seed} == {1000}
    assert reseeded(fresh, taught.seed) == taught
    assert fresh.data == taught.data  # the split stays


def test_a_file_of_weights_is_the_same_for_all_seeds() -> None:
    base = PLAIN | {"weights": {"path": "net.pt", "sha256": "0" * 64}, "schedule": {"epochs": 0, "learning_rate": 1.0}}
    fresh = reseeded(recipe(base=base), 1000)
    assert fresh.base == recipe(base=base).base
    assert fresh.seed == 1000


def test_a_file_of_weights_is_one_network_and_others_are_one_for_each_seed() -> None:
    file = recipe(weights={"path": "net.pt", "sha256": "0" * 64}, schedule={"epochs": 0, "learning_rate": 1.0})
    plan = Plan((Contender("pick", "pick", recipe()), Contender("file", "against", file)), (1000, 1001), SETTING, 0.01)
    assert len(plan.recipes()) == 4
    networks = plan.networks()
    assert sorted(seed for seed, _ in networks) == [1000, 1000, 1001]
    assert [recipe.seed for _, recipe in networks if recipe.weights is None] == [1000, 1001]
    assert (1000, file) in networks


@pytest.mark.parametrize(
    ("changes", "fast"),
    [
        ({"perturbation": FAST}, True),
        ({"perturbation": {"kind": "fgsm", "epsilon": 0.2}}, True),
        ({"perturbation": {"kind": "fgsm", "epsilon": 0.2}, "loop": {"kind": "free"}}, True),
        ({"perturbation": {"kind": "pgd", "epsilon": 0.2, "steps": 2}}, False),
        ({"perturbation": FAST, "base": "base"}, False),
        ({"perturbation": FAST, "compression": PRUNED}, False),
    ],
)
def test_fast_is_single_step_or_free_from_scratch(changes: dict[str, Any], fast: bool) -> None:
    given = {"name": "b", "schedule": {"epochs": 5, "learning_rate": 0.1}} | changes
    assert is_fast(Baseline.model_validate(given)) == fast


@pytest.fixture(scope="module")
def study() -> Study:
    return load("digits", ["data.train_size=300", "data.validation_size=100"])


@pytest.fixture(scope="module")
def splits(study: Study) -> Splits:
    return load_splits(study.data)


def test_opponents_cost_what_the_pick_does_dense_and_pruned_to_its_macs(study: Study, splits: Splits) -> None:
    planner = FlopsPlanner(splits, lambda _: pytest.fail("an opponent has no base"))
    flops = 2e11
    pick = Contender("recipe abc", "pick", recipe(base=PLAIN, compression=PRUNED))
    found = opponents(study, pick, 0.25, flops, planner.plan, 300)
    assert len(found) >= 2
    assert {one.pick for one in found} == {"recipe abc"}
    assert {one.part for one in found} == {"opponent"}
    for one in found:
        assert one.recipe.base is None
        assert 0.97 * flops <= planner.plan(one.recipe).end_to_end <= flops
    dense, pruned = found[:2]
    assert pruned.recipe.compression.model_dump()["mac_ratio"] == 0.25
    assert pruned.recipe.schedule.epochs > 2 * dense.recipe.schedule.epochs
    assert [one.name for one in opponents(study, pick, 1.0, flops, planner.plan, 300)] == [
        one.name for one in found if "dense" in one.name
    ]
    assert opponents(study, pick, 0.25, 1e5, planner.plan, 300) == []  # not one batch


def test_the_best_opponent_is_that_of_the_best_validation_score() -> None:
    some = [Contender(name, "opponent", recipe(seed=seed)) for seed, name in enumerate("abc")]
    scores: dict[str, float | None] = {"a": 0.3, "b": None, "c": 0.4}
    best = best_of(some, lambda one: scores[one.name])
    assert best is some[2]
    assert best_of(some, lambda one: None) is None


def test_seeds_are_fresh_and_the_same_each_time(tmp_path: Any, study: Study) -> None:
    run = worked_example(tmp_path)
    assert fresh_seeds(run, study, 4) == fresh_seeds(run, study, 4) == (1000, 1001, 1002, 1003)
    used = study.model_copy(update={"seed": 1001})
    assert fresh_seeds(run, used, 3) == (1000, 1002, 1003)
    with pytest.raises(InvalidInput, match="--seeds: got 1, expected at least 2"):
        fresh_seeds(run, study, 1)


def test_a_plan_is_written_once_and_read_as_it_was(tmp_path: Any) -> None:
    folder = Folder(str(tmp_path))
    pick = Contender("recipe abc", "pick", recipe(base=PLAIN))
    other = Contender("pgd", "against", recipe(perturbation={"kind": "pgd", "epsilon": 0.2, "steps": 3}))
    plan = Plan((pick, other), (1000, 1001), SETTING, 0.01)
    assert write_plan(folder, plan) == write_plan(folder, plan) == 1
    assert write_plan(folder, Plan((pick, other), (1000, 1001, 1002), SETTING, 0.01)) == 2
    (folder.child("confirm", "7")).write("plan.json", b"{torn")
    assert write_plan(folder, plan) == 1
    of_before = {key: value for key, value in plan.as_json().items() if key != "images"}
    folder.child("confirm", "1").write_json("plan.json", of_before)  # it does not know its images
    assert write_plan(folder, replace(plan, images="some")) == 1
    assert write_plan(folder, replace(plan, seeds=(1000, 1001, 1002), images="some")) == 8
    assert {(one.name, seed) for one, seed, _ in plan.recipes()} == {
        (name, seed) for name in ("recipe abc", "pgd") for seed in (1000, 1001)
    }


def test_test_images_that_have_changed_are_refused(tmp_path: Path) -> None:
    run = confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    setting = AttackSetting(ThreatModel(epsilon=0.2), "standard", None)
    check_test_images(run, setting, "images")
    check_test_images(run, replace(setting, examples=100), "a part of them")
    with pytest.raises(InvalidInput, match="the test images are others than those of confirmation 1; --force"):
        check_test_images(run, setting, "others")
    forced = run.folder.child("confirm", "1").read_json("plan.json") | {"images": "others"}
    run.folder.child("confirm", "2").write_json("plan.json", forced)  # after --force, the last one counts
    check_test_images(run, setting, "others")
    with pytest.raises(InvalidInput, match="others than those of confirmation 2; --force"):
        check_test_images(run, setting, "images")
