"""The searcher without Ray: order, waiting for the base, and what the sampler is told."""

import math
from typing import Any, get_args

import optuna
import pytest
from ray.tune.search import Searcher

from analysis.run.summary import summary
from search.events import Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.running.trial_results import outcome_of
from search.samplers import ask_and_tell
from search.study.loading import load
from tests.support.command import SMALL
from tests.support.recipes import propose
from tests.support.searcher import OUT_OF_MEMORY, Log, done, ended_early, epoch, finished, result, searcher
from trainables.attacks.config import PGD, Perturbation
from trainables.compression.config import ChannelPruning
from trainables.errors import InvalidInput
from trainables.execution.ending import FINISHED, Ending, EndKind, State
from trainables.execution.report import Report
from trainables.losses.config import Loss
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Loop

EPSILONS = "{low: 0.01, high: 0.02, levels: 2}"
THREE = [*SMALL, "budget.trials=3", "baselines.3.base=null", "baselines.3.schedule.epochs=2"]


@pytest.fixture
def log() -> Log:
    return Log(load("digits", THREE))


@pytest.mark.parametrize(
    ("looked_at", "said"),
    [
        (20_000, "no recipe of the space is left"),
        (1, "the sampler named 50 recipes in a row that were proposed before"),  # as where there are too many to list
    ],
)
def test_a_search_that_finds_no_new_recipe_says_so(looked_at: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random draws of a space of four recipes, which a budget of forty lets it draw again and again."""
    monkeypatch.setattr(ask_and_tell, "LOOKED_AT", looked_at)
    few = ["space.compression.pruning_ratio={low: 0.5, high: 0.5, step: 0.1}", "space.perturbation.kind=[n_fgsm]"]
    few += [f"space.perturbation.epsilon={EPSILONS}", f"space.schedule.learning_rate={EPSILONS}"]
    few += ["space.schedule.epochs={low: 1, high: 1}", "space.compression.importance=[l1]"]
    log = Log(
        load("digits", [*SMALL, *few, "space.compression.scope=[uniform]", "sampler.kind=random", "budget.trials=40"])
    )
    log.searcher.suggest("base")
    log.searcher.on_trial_complete("base", done(0.1, 0.0))
    for number in range(60):
        log.searcher.suggest(f"t{number}")
    assert sum(proposal.role == "proposed" for proposal in log.proposals) == 4
    assert log.reasons == [said]


def test_base_and_baselines_come_first_and_proposals_wait_for_the_base(log: Log) -> None:
    suggestions = [log.searcher.suggest(f"t{number}") for number in range(6)]
    assert [proposal.role for proposal in log.proposals] == ["base"] + ["baseline"] * 4
    assert suggestions[5] is None
    log.searcher.on_trial_complete("t0", done(0.1, 0.0))
    made = log.searcher.suggest("t6")
    assert isinstance(made, dict)
    assert log.proposals[-1].role == "proposed"
    assert log.proposals[-1].recipe.base == log.proposals[0].recipe
    assert made["id"] == log.proposals[-1].recipe.id
    assert len(log.proposals[-1].params) == len(log.proposals[-1].distributions)
    for number in range(7, 9):
        assert isinstance(log.searcher.suggest(f"t{number}"), dict)
    assert log.searcher.suggest("t9") == Searcher.FINISHED
    assert len({proposal.recipe.id for proposal in log.proposals}) == 8


def test_a_lost_base_ends_the_search_after_the_baselines(log: Log) -> None:
    for number in range(5):
        log.searcher.suggest(f"t{number}")
    log.searcher.on_trial_complete("t0", None, error=True)
    assert log.searcher.suggest("t5") == Searcher.FINISHED


def test_a_baseline_may_start_from_another_which_proposals_need_not_wait_for() -> None:
    robust = "{name: pruned, base: slow, compression: {method: channel_pruning, pruning_ratio: 0.5}, "
    robust += "perturbation: {kind: n_fgsm, epsilon: 0.2}, schedule: {epochs: 2, learning_rate: 0.1}}"
    slow = "{name: slow, perturbation: {kind: pgd, epsilon: 0.2, steps: 7}, schedule: {epochs: 9, learning_rate: 0.1}}"
    study = load("digits", [f"baselines=[{slow}, {robust}]", "reference=slow", "budget.trials=2"])
    for ending in ("complete", "lost"):
        log = Log(study)
        assert [log.searcher.suggest(f"t{number}") is None for number in range(3)] == [False, False, True]
        log.searcher.on_trial_complete("t0", done(0.1, 0.0))
        log.searcher.suggest("t3")
        assert log.proposals[-1].role == "proposed"
        log.searcher.on_trial_complete("t1", done(0.7, 1e9) if ending == "complete" else None, error=ending == "lost")
        log.searcher.suggest("t4")
        named = {proposal.name: proposal for proposal in log.proposals}
        assert named["pruned"].recipe.base == named["slow"].recipe
        if ending == "complete":
            assert log.proposals[-1].name == "pruned"
        else:
            assert log.outcomes[-1] == Outcome(
                Ending(EndKind.ORPHANED, "what it starts from did not finish"), None, 0.0
            )
            assert log.proposals[-1].role == "proposed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["baselines.0.base=n_fgsm_at_5"],
            "baselines: got base 'n_fgsm_at_5' in pgd_at_20, expected null or one",
        ),
        (["baselines.0.name=base"], "name: got 'base', expected another name"),
        (
            ["baselines.1.schedule={epochs: 20, learning_rate: 0.2}"],
            "baselines: got pgd_at_20 and pgd_at_10 with the same recipe, expected each once",
        ),
    ],
)
def test_baselines_that_cannot_be(settings: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load("digits", settings)


def test_an_error_is_fail_with_its_message(log: Log) -> None:
    log.searcher.suggest("t1")
    log.searcher.on_trial_complete("t1", None, error=True)
    assert log.outcomes == [Outcome(OUT_OF_MEMORY, None, 0.0)]


def test_listeners_hear_of_every_epoch_once(log: Log) -> None:
    log.searcher.suggest("t0")
    log.searcher.on_trial_result("t0", epoch(1, robust_accuracy=0.4))
    log.searcher.on_trial_complete("t0", finished({"robust_accuracy": 0.1, "train_flops": 1.0}, 2))
    assert log.rows == [
        (log.proposals[0], {"epoch": 1, "robust_accuracy": 0.4}, None),
        (log.proposals[0], {"epoch": 2}, FINISHED),
    ]


def test_an_epoch_that_failed_is_none(log: Log) -> None:
    log.searcher.suggest("t0")
    failed = Report(row={}, busy_seconds=3.0, ending=Ending(EndKind.OUT_OF_MEMORY, "out of memory: …"))
    log.searcher.on_trial_complete("t0", result(failed))
    assert log.rows == []
    assert log.outcomes == [Outcome(Ending(EndKind.OUT_OF_MEMORY, "out of memory: …"), None, 3.0)]


def test_what_a_last_result_means() -> None:
    objectives = ("robust_accuracy", "train_flops")

    def outcome(numbers: dict[str, Any] | None, stopped: Ending | None = None) -> Outcome:
        return outcome_of(None if numbers is None else Report.of_result(numbers), objectives, stopped=stopped)

    complete = outcome(done(0.5, 10.0))
    assert complete.state is State.COMPLETE
    assert complete.metrics == {"robust_accuracy": 0.5, "train_flops": 10.0}
    diverged = outcome(ended_early(EndKind.DIVERGED, "diverged: nan"))
    assert (diverged.state, diverged.reason, diverged.metrics) == (State.PRUNED, "diverged: nan", None)
    assert outcome(done(math.nan, 10.0)).ending == Ending(EndKind.NOT_FINITE, "not finite: robust_accuracy")
    missing = outcome(finished({"robust_accuracy": 0.5}))
    assert missing.ending == Ending(EndKind.NOT_MEASURED, "not measured: train_flops")
    assert missing.state is State.FAIL
    assert outcome(epoch(3)).ending == outcome(None).ending == Ending(EndKind.LOST, "ended before its last epoch")
    stopped = Ending(EndKind.STOPPED, "stopped at 25%")
    assert outcome(epoch(3), stopped) == Outcome(stopped, None, 3.0)


def test_the_same_seed_proposes_the_same(log: Log) -> None:
    other = Log(load("digits", THREE))
    for one in (log, other):
        for number in range(5):
            one.searcher.suggest(f"t{number}")
        one.searcher.on_trial_complete("t0", done(0.1, 0.0))
        for number in range(5, 8):
            one.searcher.suggest(f"t{number}")
            one.searcher.on_trial_complete(f"t{number}", done(0.5, 1e9 * number))
    assert log.proposals == other.proposals


def test_a_space_of_every_choice_proposes_recipes_that_fit_together() -> None:
    study = load("digits", [
        "space.perturbation.kind=[fgsm, n_fgsm, pgd]", "space.perturbation.warm_up=0.2",
        "space.loss=[{kind: cross_entropy}, {kind: mixed}, {kind: trades, beta: 3}, {kind: trades, beta: 6}]",
        "space.schedule.shape=[one_cycle, cosine, step, constant]", "space.schedule.averaging=0.99",
        "space.quantization={weight_bits: [32, 8, 4], activation_bits: [32, 8]}",
        "augmentation.flip=true", "keep=best", "budget.trials=60",
    ])  # fmt: skip
    optuna_study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(0))
    recipes = [propose(optuna_study.ask(), study) for _ in range(60)]
    assert {recipe.perturbation.kind for recipe in recipes} == {"fgsm", "n_fgsm", "pgd"}
    assert len({recipe.loss for recipe in recipes}) == 4
    assert len({recipe.quantization for recipe in recipes}) == 6
    assert None in {recipe.quantization for recipe in recipes}
    assert {recipe.schedule.shape for recipe in recipes} == {"one_cycle", "cosine", "step", "constant"}
    for recipe in recipes:
        assert recipe.augmentation.flip
        assert recipe.keep == "best"
        assert recipe.base is not None
        assert recipe.base.keep == "best"
        assert Recipe.model_validate(recipe.model_dump(mode="json")).id == recipe.id
        assert summary(recipe.model_dump(mode="json"))


def test_a_share_of_macs_is_searched_in_place_of_a_channel_ratio() -> None:
    study = load("digits", [
        "space.compression.mac_ratio={low: 0.1, high: 0.5}", "space.compression.importance=[taylor, random]",
    ])  # fmt: skip
    optuna_study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(0))
    for _ in range(10):
        trial = optuna_study.ask()
        compression = propose(trial, study).compression
        assert isinstance(compression, ChannelPruning)
        assert compression.pruning_ratio is None
        assert compression.mac_ratio is not None
        assert 0.1 <= compression.mac_ratio <= 0.5
        assert "pruning_ratio" not in trial.params
    with pytest.raises(InvalidInput, match=r"space.compression.mac_ratio.high: got 1.5, expected a number in"):
        load("digits", ["space.compression.mac_ratio={low: 0.1, high: 1.5}"])
    with pytest.raises(ValueError, match=r"got pruning_ratio 0.5 and mac_ratio 0.5, expected one of them"):
        ChannelPruning(pruning_ratio=0.5, mac_ratio=0.5)


def test_pruning_steps_are_searched_where_there_is_a_choice_and_no_more_than_epochs() -> None:
    optuna_study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(0))
    short = ["space.schedule.epochs={low: 2, high: 6}", "space.compression.scope=[global]"]
    study = load("digits", [*short, "space.compression.steps=[1, 4]"])
    found = set()
    for _ in range(30):
        trial = optuna_study.ask()
        recipe = propose(trial, study)
        assert isinstance(recipe.compression, ChannelPruning)
        assert recipe.compression.steps == min(trial.params["pruning_steps"], recipe.schedule.epochs)
        found.add(recipe.compression.steps)
        said = summary(recipe.model_dump(mode="json")).split(" · ")[0]
        assert said.endswith({1: "global"}.get(recipe.compression.steps, f"global in {recipe.compression.steps} steps"))
    assert found == {1, 2, 3, 4}
    trial = optuna_study.ask()
    assert (
        propose(
            trial,
            load("digits", [*short, "space.compression.steps=[3]"]),
        ).compression.method
        != "none"
    )
    assert "pruning_steps" not in trial.params
    with pytest.raises(InvalidInput, match=r"compression.steps: got 6 with 5 epochs, expected at most 5"):
        load("digits", ["baselines.5.compression.steps=6"])


def test_a_threat_in_l2_is_searched_in_l2() -> None:
    in_l2 = ["threat_model={norm: l2, epsilon: 1.5}", "space.perturbation.norm=l2"]
    with pytest.raises(InvalidInput) as caught:
        load("digits", [*in_l2, "space.perturbation.kind=[n_fgsm, pgd]"])
    assert caught.value.problems == (
        "space.perturbation.kind: got ['n_fgsm', 'pgd'] with norm l2, expected [pgd] or module:function",
    )
    study = load("digits", [*in_l2, "space.perturbation.kind=[pgd]", "space.perturbation.epsilon={low: 1, high: 2}"])
    assert (study.protocol.norm, study.protocol.epsilon) == ("l2", 1.5)
    made = propose(optuna.create_study(directions=["maximize", "minimize"]).ask(), study).perturbation
    assert isinstance(made, PGD)
    assert made.norm == "l2"
    assert 1 <= made.epsilon <= 2
    with pytest.raises(InvalidInput, match=r"space.perturbation.epsilon: got 8, expected a number in \(0, 0.5\]"):
        load("digits", ["space.perturbation.epsilon={low: 1, high: 8}"])


def test_every_perturbation_loss_and_loop_has_words_of_its_own() -> None:
    plain = FixedRecipes.of(load("digits")).base.recipe.model_dump(mode="json")
    for group, choices in (("perturbation", Perturbation), ("loss", Loss), ("loop", Loop)):
        said: set[str] = set()
        kinds = get_args(get_args(choices)[0])
        for kind in kinds:
            needed: dict[str, object] = {"epsilon": 0.1, "steps": 3} if group == "perturbation" else {}
            if kind.model_fields["kind"].is_required():
                needed["kind"] = "mine:attack"
            made = kind(**{name: value for name, value in needed.items() if name in kind.model_fields})
            said.add(summary(plain | {group: made.model_dump(mode="json")}))
        assert len(said) == len(kinds) >= 2, group


def test_an_error_of_a_listener_is_raised_again_by_each_check() -> None:
    study = load("digits", THREE)

    class Full(Log):
        def ended(self, proposal: Proposal, outcome: Outcome) -> None:
            raise OSError("no room")

    searching = searcher(study, Full(study))
    searching.suggest("t0")
    searching.listeners.check()
    with pytest.raises(OSError, match="no room"):
        searching.on_trial_complete("t0", done(0.1, 0.0))
    for _ in range(2):  # Tune has taken the first for an error of the trial
        with pytest.raises(OSError, match="no room"):
            searching.listeners.check()
