"""Proposals: of a space with every lever, and those that a study wants first."""

import optuna
import pytest
from optuna.trial import FixedTrial

from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from search.study.study import Study
from tests.support.command import SMALL
from tests.support.recipes import propose
from tests.support.searcher import Log, done
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

FIRST = [
    *SMALL,
    "first=[{pruning_ratio: 0.7, perturbation: n_fgsm, epsilon: 0.02}, {perturbation: pgd, attack_steps: 3}]",
]


def test_what_is_wanted_first_is_proposed_first_and_the_rest_of_it_is_sampled() -> None:
    study = load("digits", FIRST)
    check_first(study, FixedRecipes.of(study))
    log = Log(study)
    for number in range(5):
        log.searcher.suggest(f"t{number}")
        log.searcher.on_trial_complete(f"t{number}", done(0.1, 1e9))
    made: list[Recipe] = []
    for number in (5, 6):
        assert isinstance(log.searcher.suggest(f"t{number}"), dict)
        made.append(log.proposals[-1].recipe)
    assert made[0].compression.model_dump()["pruning_ratio"] == 0.7
    assert made[0].perturbation.model_dump() == {"kind": "n_fgsm", "epsilon": 0.02, "warm_up": 0.0}
    assert made[1].perturbation.model_dump()["steps"] == 3
    assert 1 <= made[1].schedule.epochs <= 2


def test_what_is_not_in_the_space_is_refused_with_every_problem() -> None:
    study = load("digits", [*SMALL, "first=[{pruning_ratio: 0.95, perturbation: n_fgsm, attack_steps: 3, epochs: 1}]"])
    with pytest.raises(InvalidInput) as caught:
        check_first(study, FixedRecipes.of(study))
    ratio, steps = caught.value.problems
    assert ratio == "first.0.pruning_ratio: got 0.95, expected a number from 0.3 to 0.8 in steps of 0.05"
    assert steps.startswith(
        "first.0.attack_steps: no such parameter in this proposal, expected some of epochs, epsilon"
    )


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("perturbation: nonsense", "perturbation: got 'nonsense', expected one of n_fgsm, pgd"),
        ("perturbation: [pgd]", "expected"),
        ("scope: 3", "scope: got 3, expected one of global, uniform"),
        ("epochs: two", "epochs: got 'two', expected a whole number from 1 to 2"),
        ("epochs: 1.5", "epochs: got 1.5, expected a whole number from 1 to 2"),
        ("epochs: null", "epochs: got None, expected a whole number"),
        ("epochs: 99", "epochs: got 99, expected a whole number"),
        ('pruning_ratio: "0.5"', "pruning_ratio: got '0.5', expected a number from 0.3 to 0.8 in steps of 0.05"),
        ("pruning_ratio: 0.33", "pruning_ratio: got 0.33, expected a number"),
        ("nothing: 1", "nothing: no such parameter in this proposal, expected some of attack_steps, epochs"),
    ],
)
def test_each_wanted_value_is_refused_in_words(wanted: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=r"^first\.0\.") as refused:
        check(wanted)
    assert problem in str(refused.value)


def check(wanted: str) -> None:
    study = load("digits", [*SMALL, f"first=[{{{wanted}}}]"])
    check_first(study, FixedRecipes.of(study))


def test_what_depends_on_a_draw_may_be_wanted() -> None:
    for wanted in ("attack_steps: 3", "scope: uniform", "pruning_ratio: 0.3", "pruning_ratio: 0.45", "epochs: 2.0"):
        check(wanted)


def drawn(study: Study, count: int) -> list[tuple[Recipe, set[str]]]:
    """Random proposals, and the parameters that were asked for each."""
    sampler = optuna.samplers.RandomSampler(0)
    asked = optuna.create_study(directions=["maximize"] * len(study.objectives), sampler=sampler)
    trials = [asked.ask() for _ in range(count)]
    return [(propose(trial, study), set(trial.params)) for trial in trials]


def test_the_shipped_study_of_every_lever_varies_each_and_proposes_what_fits_together() -> None:
    study = load("fashion_mnist")
    made = [recipe for recipe, _ in drawn(study, 300)]
    for recipe in made:
        again = Recipe.model_validate(recipe.model_dump(mode="json"))
        assert again.id == recipe.id
        assert again == recipe
    plain = [recipe.model_dump(mode="json") for recipe in made]
    pruned = [one["compression"] for one in plain if one["compression"]["method"] == "channel_pruning"]
    soft = [one["distillation"] for one in plain if one["distillation"]]
    teachers = {None if one["teacher"] is None else one["teacher"]["perturbation"]["kind"] for one in soft}
    assert len(pruned) < len(plain)  # some are dense
    assert {one["importance"] for one in pruned} == {"l1", "l2", "taylor"}
    assert {one["scope"] for one in pruned} == {"global", "uniform"}
    assert {one["steps"] for one in pruned} == {1, 2, 3}
    assert len({one["pruning_ratio"] for one in pruned}) > 10
    bits = {None if one.quantization is None else one.quantization.weight_bits for one in made}
    assert bits == {None, 32, 8, 4}
    assert {one.quantization.activation_bits for one in made if one.quantization} == {32, 8, 4}
    assert {one["perturbation"]["kind"] for one in plain} == {"fgsm", "n_fgsm", "pgd"}
    assert {one["perturbation"]["warm_up"] for one in plain} == {0.0, 0.3}
    assert {one["perturbation"].get("steps") for one in plain} == {None, 2, 3, 4, 5, 6, 7}
    assert len({one["perturbation"]["epsilon"] for one in plain}) > 10
    losses = {(one["loss"]["kind"], bool(one["loss"].get("label_smoothing"))) for one in plain}
    assert losses == {("cross_entropy", False), ("cross_entropy", True), ("mixed", False), ("trades", False)}
    assert {one["loop"]["kind"] for one in plain} == {"ordinary", "free"}
    assert len(soft) < len(plain)
    assert {one["weight"] for one in soft} == {0.3, 0.7}
    assert {one["temperature"] for one in soft} == {1.0, 2.0, 4.0}
    assert teachers == {None, "n_fgsm", "pgd"}
    schedules = [one["schedule"] for one in plain]
    assert {one["epochs"] for one in schedules} == set(range(3, 13))
    assert len({one["learning_rate"] for one in schedules}) > 10
    assert {one["shape"] for one in schedules} == {"one_cycle", "cosine", "step", "constant"}
    assert {one["batch_size"] for one in schedules} == {128, 256}
    assert {one["averaging"] for one in schedules} == {None, 0.99, 0.998}


def test_what_is_given_without_a_list_is_one_choice_and_is_not_asked() -> None:
    given = ["space.schedule.averaging=0.99", "space.schedule.batch_size=32", "space.perturbation.warm_up=0.2"]
    single = load("digits", given)
    assert single == load("digits", [text.replace("=", "=[") + "]" for text in given])
    kept = {
        "pruning_ratio",
        "importance",
        "scope",
        "perturbation",
        "epsilon",
        "attack_steps",
        "epochs",
        "learning_rate",
    }
    for recipe, asked in drawn(single, 20):
        assert asked <= kept
        assert (recipe.schedule.averaging, recipe.schedule.batch_size) == (0.99, 32)
        assert recipe.perturbation.model_dump()["warm_up"] == 0.2
    several = load("digits", ["space.schedule.averaging=[null, 0.9]", "space.schedule.optimizer=[sgd, adamw]"])
    found = {(recipe.schedule.averaging, recipe.schedule.optimizer) for recipe, _ in drawn(several, 40)}
    assert found == {(None, "sgd"), (None, "adamw"), (0.9, "sgd"), (0.9, "adamw")}


def test_the_free_loop_is_asked_for_only_where_it_fits() -> None:
    loops = "space.loop=[{kind: ordinary}, {kind: free, replays: 2}, {kind: free}]"
    study = load("digits", [
        loops, "space.perturbation.kind=[fgsm, n_fgsm]", "space.perturbation.warm_up=[0, 0.5]",
        "space.distillation.weight=[0, 0.5]", "space.loss=[{kind: cross_entropy}, {kind: trades}]",
    ])  # fmt: skip
    made = drawn(study, 200)
    for recipe, asked in made:
        attack = recipe.perturbation.model_dump()
        fits = attack["kind"] == "fgsm" and not attack["warm_up"]
        fits = fits and recipe.loss.kind == "cross_entropy" and recipe.distillation is None
        assert ("loop" in asked) == fits
    assert len({recipe.loop for recipe, _ in made}) == 3
    with pytest.raises(InvalidInput, match=r"space.loop: got \['free'\], expected ordinary among them"):
        load("digits", ["space.loop=[{kind: free}]"])
    with pytest.raises(
        InvalidInput, match=r"space: loop: got free, which no proposal .* expected perturbation.kind fgsm"
    ):
        load("digits", [loops])


def test_the_free_loop_does_not_smooth_labels() -> None:
    with pytest.raises(InvalidInput, match=r"baselines.0: loop.kind: got free with label_smoothing, expected none"):
        load("digits", [
            "baselines.0.perturbation={kind: fgsm, epsilon: 0.2}", "baselines.0.loop.kind=free",
            "baselines.0.loss={kind: cross_entropy, label_smoothing: 0.1}",
        ])  # fmt: skip


def test_recipes_that_are_pruned_alike_share_what_prunes_them() -> None:
    study = load("digits", SMALL)
    chosen = {"pruning_ratio": 0.7, "importance": "l2", "scope": "global", "perturbation": "n_fgsm"}
    chosen |= {"learning_rate": 0.1, "epochs": 1}
    one, other = (propose(FixedTrial(chosen | {"epsilon": epsilon}), study) for epsilon in (0.01, 0.02))
    assert one != other
    assert one.compression is other.compression
