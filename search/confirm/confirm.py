"""Confirms what a run found: retrains, attacks, compares; goes on where it was stopped."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from analysis.export.selection import picks
from analysis.export.study_folder import require_modules
from analysis.pareto.parity import label
from analysis.run.trials import Run, Trial, read_run
from cluster.connection.interrupts import INTERRUPTS
from cluster.connection.session import Target, session
from cluster.doctor.shared_storage import check_shared
from search.confirm.attacks import attacks
from search.confirm.conditions import conditions, other_data_of
from search.confirm.contenders import Contender, best_of, contender, opponents
from search.confirm.forecast import hours, precision, seconds_per_flop
from search.confirm.plan import Plan, check_test_images, fresh_seeds, write_plan
from search.confirm.trainings import is_over, train, with_ancestors
from search.confirm.work import Work, run_work
from search.monitoring.progress import Terminal
from search.recipes.fixed import FixedRecipes
from search.record.derived_files import up_to_date
from search.remote.user_modules import user_modules
from search.resume.comparison import check_run
from search.running.capacity import capacity_of
from search.study.loading import read_study
from search.study.study import Study
from trainables.assessment.attack_record import AttackSetting
from trainables.assessment.recording import hash_of
from trainables.checkpoints.recovery import recover
from trainables.data.drawing import drawn
from trainables.data.splits import Splits, load_splits, load_test
from trainables.deployment.onnx_runtime import require_onnx
from trainables.errors import InvalidInput, TemperError
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import Strength
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.value_forms import counted

Check = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        picks: rules, names or beginnings of ids of what is confirmed; none: the knee, and what is at parity if any is.
        against: names or beginnings of ids of what picks are held against; none: the study's reference.
        seeds: number of fresh seeds.
        examples: images of the test split, drawn evenly over the classes; None: all.
        attack: the ensemble.
        opponents: whether fast opponents at equal compute are trained too.
        conditions: whether networks are also measured under conditions that they were not trained for.
        force: whether changed code or data are only said.
    """

    picks: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    seeds: int = 6
    examples: int | None = None
    attack: Strength = "standard"
    opponents: bool = True
    conditions: bool = True
    force: bool = False


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run that is to be confirmed, with all that is known before Ray starts."""

    run: Run
    study: Study
    splits: Splits
    setting: AttackSetting
    seeds: tuple[int, ...]
    contenders: tuple[Contender, ...]
    candidates: tuple[tuple[Contender, ...], ...]  # of each pick, the fast opponents of which the best is confirmed
    conditions: bool  # whether networks are also measured under conditions that they were not trained for
    force: bool  # whether changed test images are attacked again, and not refused


def prepare(folder: Folder, wanted: Wanted, say: Callable[[str], object]) -> Prepared:
    """Read a run, and say who is confirmed against whom.

    Raises:
        InvalidInput: nothing can be confirmed, the user's code or data have changed, or packages for it are missing.
    """
    run = up_to_date(read_run(folder))
    study = read_study(folder)
    require_modules(folder, study, say)
    splits = load_splits(study.data)
    check_run(run, say, force=wanted.force, data=splits.fingerprint())
    if not any(trial.state is State.COMPLETE for trial in run.trials):
        raise InvalidInput(f"{folder}: no recipe has finished, so there is nothing to confirm")
    chosen = _picked(run, wanted)
    reference = run.reference
    against = picks(run, wanted.against) if wanted.against else [reference] if reference is not None else []
    if not against:
        raise InvalidInput(f"{folder}: the reference did not finish; --against names what to hold the picks against")
    chosen = [trial for trial in chosen if trial.id not in {one.id for one in against}]
    if not chosen:
        raise InvalidInput(
            f"--pick: {', '.join(label(one) for one in against)} is what picks are held against, and nothing else is "
            "picked; name another pick, or what to hold it --against"
        )
    contenders = [contender(run, trial, "pick") for trial in chosen]
    contenders += [contender(run, trial, "against") for trial in against]
    if any(one.recipe.quantization is not None for one in contenders):
        require_onnx()  # a quantized network is attacked as the file that it is deployed as, too
    candidates = _candidates(run, study, splits, chosen, contenders) if wanted.opponents else []
    setting = AttackSetting(study.threat_model, wanted.attack, wanted.examples)
    seeds = fresh_seeds(run, study, wanted.seeds)
    return Prepared(
        run,
        study,
        splits,
        setting,
        seeds,
        tuple(contenders),
        tuple(map(tuple, candidates)),
        wanted.conditions,
        wanted.force,
    )


def _picked(run: Run, wanted: Wanted) -> list[Trial]:
    if wanted.picks:
        return picks(run, wanted.picks)
    chosen = picks(run, ["knee"])
    try:
        return picks(run, ["parity", "knee"])
    except InvalidInput:
        return chosen


def _candidates(
    run: Run, study: Study, splits: Splits, chosen: Sequence[Trial], contenders: Sequence[Contender]
) -> list[list[Contender]]:
    fixed = FixedRecipes.of(study)
    trials = run.folder.child("trials")
    planner = FlopsPlanner(splits, lambda recipe: recover(recipe, trials, splits, fixed.teachers))
    return [
        opponents(
            study,
            one,
            trial.metrics.get("mac_ratio", 1.0),
            trial.metrics["end_to_end_flops"],
            planner.plan,
            len(splits.train),
        )
        for trial, one in zip(chosen, contenders, strict=False)
    ]


def dry_run(prepared: Prepared) -> list[str]:
    """Return what a confirmation would do, in lines."""
    # As `confirm` does, so that what it would refuse is refused here, and images are counted as it will take them.
    images = len(drawn(load_test(prepared.study.data, prepared.splits), prepared.setting.examples))
    if prepared.conditions:
        other_data_of(prepared.study, prepared.splits, prepared.setting.examples)
    run, ended = prepared.run, {trial.id for trial in prepared.run.everything if is_over(trial)}
    plan = Plan(prepared.contenders, prepared.seeds, prepared.setting, prepared.study.parity_margin)
    candidates = [one for some in prepared.candidates for one in some]
    recipes = [recipe for _, _, recipe in plan.recipes()]
    trained = with_ancestors([*recipes, *(one.recipe for one in candidates)])
    left = [recipe for recipe in trained if recipe.id not in ended]
    opponents_of = sum(bool(some) for some in prepared.candidates)
    lines = [f"{one.part:9} {one.name}" for one in (*prepared.contenders, *candidates)]
    lines.append(
        f"{counted(len(left), 'training')}, and of {counted(opponents_of, 'opponent')}, once chosen, as many seeds; "
        f"{len(recipes) + opponents_of * len(plan.seeds)} networks attacked by the {plan.setting.attack} ensemble on "
        f"{images:,} test images; seeds {plan.seeds[0]} to {plan.seeds[-1]}"
    )
    found = {trial.id: trial for trial in run.trials}
    seconds = seconds_per_flop(run)
    if seconds is not None:
        training, attacking = hours(plan, prepared.candidates, found, images, seconds)
        lines.append(
            f"about {counted(training, 'hour', '.2g')} of one device for all trainings, and {attacking:.2g} at most "
            "for all attacks, at the speed of the search's trainings"
            f"{'; other conditions come on top' if prepared.conditions else ''}"
        )
    return lines + precision(plan, found, images, opponents_of)


class TimeIsOver(TemperError):
    """Raised where a confirmation has taken as long as it may; what was trained and attacked is kept."""


def deadline(hours: float | None, still_held: Callable[[], object], clock: Clock = time.monotonic) -> Check:
    """Return what is called all the time while a confirmation works, and raises where it must end.

    Args:
        hours: how long it may take from now on; None: as long as it needs.
        still_held: raises if another driver has taken the run.
        clock: returns a time in seconds.
    """
    began = clock()

    def check() -> None:
        still_held()
        if hours is not None and clock() >= began + 3600 * hours:
            raise TimeIsOver(f"{counted(hours, 'hour', 'g')} {'is' if hours == 1 else 'are'} over (--max-hours)")

    return check


def confirm(
    prepared: Prepared,
    *,
    target: Target,
    terminal: Terminal,
    started: float,
    check: Check,
    planned: Callable[[int], object],
) -> None:
    """Train and attack all that is not yet.

    Args:
        prepared: from `prepare`.
        target: the cluster to run on.
        terminal: prints lines and the status line.
        started: `time.perf_counter()` when the command began.
        check: is called all the time, and raises where this must end, see `deadline`.
        planned: is told the number of the confirmation, once all who take part are known.

    Raises:
        TimeIsOver: it has taken as long as it may.
        InvalidInput: the test images have changed since an earlier confirmation, which is not forced.
    """
    study, splits, folder = prepared.study, prepared.splits, prepared.run.folder
    # A set without a test split, or with one that does not fit, is refused before hours of work.
    test = drawn(load_test(study.data, splits), prepared.setting.examples)
    images = hash_of(*test.tensors(torch.device("cpu")))
    if not prepared.force:
        check_test_images(prepared.run, prepared.setting, images)
    other = other_data_of(study, splits, prepared.setting.examples) if prepared.conditions else {}
    with session(target, beside=user_modules(study)):
        capacity = capacity_of(study, FixedRecipes.of(study), splits, terminal.line)
        check_shared(folder)

        def trained(recipes: Mapping[str, Recipe]) -> None:
            train(
                read_run(folder),
                study,
                splits,
                recipes,
                capacity=capacity,
                terminal=terminal,
                started=started,
                still_held=check,
            )

        trained({one.name: one.recipe for some in prepared.candidates for one in some})
        chosen = _best_opponents(read_run(folder), prepared)
        contenders = (*prepared.contenders, *chosen)
        plan = Plan(contenders, prepared.seeds, prepared.setting, study.parity_margin, images)
        check()
        planned(write_plan(folder, plan))
        recipes = {f"{one.name}, seed {seed}": recipe for one, seed, recipe in plan.recipes()}
        trained(recipes)
        finished = {trial.id for trial in read_run(folder).everything if trial.state is State.COMPLETE}

        def check_all() -> None:
            INTERRUPTS.check()
            check()

        trials = folder.child("trials").anchored().kept()
        networks = [recipe for _, recipe in plan.networks() if recipe.id in finished]
        placement = capacity.placements["confirm"]

        def done(work: Work) -> None:
            run_work(work, splits, placement=placement, terminal=terminal, check=check_all)

        done(attacks(networks, trials, test, plan))
        if prepared.conditions:
            done(conditions(plan, finished, trials, test, other))


def _best_opponents(run: Run, prepared: Prepared) -> list[Contender]:
    scores = {trial.id: trial.metrics.get("robust_accuracy", math.nan) for trial in run.everything if trial.metrics}

    def score(one: Contender) -> float | None:
        found = scores.get(one.recipe.id)
        return None if found is None or math.isnan(found) else found

    best = [best_of(some, score) for some in prepared.candidates]
    return [one for one in best if one is not None]
