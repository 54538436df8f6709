"""Recordings: written and read exactly, taken of whole runs only, and of use to studies that differ in the search."""

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.run.trials import Run, Trial
from search.recipes.fixed import FixedRecipes
from search.resume.fingerprint import module_hashes
from search.simulation.recording import Curve, Recording, read, record, write
from search.simulation.simulate import simulate_in_words
from search.simulation.virtual_cluster import VirtualCluster
from search.study.study import Study
from search.surrogate.cost_model import OWN_FLOPS
from tests.support.made_recordings import PREPARATION, curve, finite, made, seconds
from trainables.errors import InvalidInput
from trainables.execution.ending import Ending, EndKind
from trainables.storage import Folder

TINY = [  # eight proposals
    "space.perturbation={kind: [n_fgsm], epsilon: {low: 0.1, high: 0.2, levels: 2}}",
    "space.compression.pruning_ratio={low: 0.2, high: 0.4, step: 0.2}",
    "space.schedule.epochs={low: 4, high: 4}",
    "sampler.kind=grid",
]


def tiny(*settings: str) -> Study:
    return finite(*TINY, *settings)


def as_run(recording: Recording) -> Run:
    """The run of which this is the recording."""
    named = {fixed.name: fixed.role for fixed in FixedRecipes.of(recording.study)}
    trials = []
    for number, ((key, found), recipe) in enumerate(
        zip(recording.curves.items(), recording.of(recording.study), strict=True)
    ):
        trials.append(
            Trial(
                id=recipe.id,
                role=named.get(key, "proposed"),
                name=key if key in named else None,
                number=number,
                params={} if key in named else json.loads(key),
                distributions={},
                recipe=recipe.model_dump(mode="json"),
                asked=None,
                ending=found.ending,
                order=number,
                started=None,
                ended=None,
                seconds=seconds(found),
                metrics={**found.metrics, "robust_accuracy_stderr": 0.01},
                history=tuple({**row, "loss": 1.0} for row in found.rows),
                robust_correct=None,
            )
        )
    return Run(Folder("run"), {}, tuple(trials), ())


def with_ends(recording: Recording) -> Recording:
    """The same, with a recipe that diverged in its second epoch, one never scored before its end, and odd numbers."""
    curves = dict(recording.curves)
    first, second, third = list(curves)[-3:]
    curves[first] = Curve(curves[first].rows[:2], "diverged: loss is nan", {}, 0.1 + 0.2)
    unscored = tuple({**row, "robust_accuracy": None} for row in curves[second].rows[:-1])
    curves[second] = dataclasses.replace(curves[second], rows=(*unscored, curves[second].rows[-1]))
    curves[third] = curve(4, 1 / 3, 1e18 / 7)
    return Recording(recording.study, curves)


def test_what_was_written_is_read_to_the_last_digit(tmp_path: Path) -> None:
    recording = with_ends(made(tiny()))
    write(recording, tmp_path / "recording.parquet")
    again = read(str(tmp_path / "recording.parquet"))
    assert again == recording
    assert list(again.curves) == list(recording.curves)
    diverged, unscored = list(again.curves.values())[-3:-1]
    assert (diverged.reason, len(diverged.rows), dict(diverged.metrics)) == ("diverged: loss is nan", 2, {})
    assert [row["robust_accuracy"] is None for row in unscored.rows] == [True, True, True, False]


def test_a_recording_is_of_use_to_studies_that_differ_in_the_search_alone() -> None:
    recording = made(tiny())
    own = list(recording.of(recording.study).values())
    assert own == list(recording.curves.values())
    other = tiny(
        "seed=3", "sampler.kind=tpe", "budget={trials: 5, hours: 1}", "halving={}", "name=other", "parity_margin=0.1",
        "constraints=['clean_accuracy >= 0.5']", "objectives=[robust_accuracy, end_to_end_flops]",
    )  # fmt: skip
    assert list(recording.of(other).values()) == own
    recipes = recording.of(other)
    assert len(recipes) == 3 + 8
    assert {recipe.seed for recipe in recipes} == {3}
    assert {fixed.recipe for fixed in FixedRecipes.of(other)} < set(recipes)
    for recipe, found in list(recipes.items())[3:]:  # the recorded curve of the same choices, whatever the seed
        assert recipe.perturbation.kind == "n_fgsm"
        assert len(found.rows) == recipe.schedule.epochs


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        (["data.validation_size=200"], ["data"]),
        (["model.name=eight_layer", "keep=best"], ["model", "keep"]),
        (["space.schedule.epochs={low: 4, high: 8}"], ["space"]),
        (["threat_model.epsilon=0.1"], ["threat_model"]),
        (["baselines.1.schedule.epochs=9"], ["baselines"]),
    ],
)
def test_a_study_that_differs_otherwise_is_refused(settings: list[str], keys: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        made(tiny()).of(tiny(*settings))
    expected = {f"{key}: differs from what was recorded, expected the same" for key in keys}
    assert set(caught.value.problems) == expected


def test_a_whole_run_is_recorded() -> None:
    recording = with_ends(made(tiny()))
    told: list[tuple[str, int, int]] = []
    taken = record(as_run(recording), recording.study, lambda *one: told.append(one))
    proposals = len(taken.curves) - len(list(FixedRecipes.of(recording.study)))
    assert told[proposals - 1] == ("making the recipes of the space", proposals, proposals)
    assert told[-1][1] == told[-1][2] == len(told) - proposals
    assert taken.study.sampler.kind == "cost_aware"  # how it was searched is not recorded
    assert taken.study.space == recording.study.space
    assert set(taken.curves) == set(recording.curves)
    for key, found in taken.curves.items():
        one = recording.curves[key]
        assert found.rows == one.rows  # without the loss
        assert (found.metrics, found.reason) == (one.metrics, one.reason)  # without the standard error
        assert found.preparation == pytest.approx(one.preparation)
    assert taken.curves["base"].preparation == pytest.approx(PREPARATION)


@pytest.mark.parametrize("last", ["missing", "lost", "running"])
def test_an_incomplete_run_is_refused(last: str) -> None:
    run = as_run(made(tiny()))
    ending = Ending(EndKind.LOST) if last == "lost" else None
    left = [] if last == "missing" else [dataclasses.replace(run.trials[-1], ending=ending)]
    with pytest.raises(InvalidInput, match=r"run: 1 of 11 recipes have no result, expected all of them"):
        record(dataclasses.replace(run, trials=(*run.trials[:-1], *left)), tiny())


def test_a_halved_run_and_an_endless_space_are_refused() -> None:
    run = as_run(made(tiny()))
    with pytest.raises(InvalidInput, match=r"run: was run with halving, expected every recipe to its end"):
        record(run, tiny("halving={}"))
    with pytest.raises(InvalidInput, match=r"epsilon: got a range without levels, expected a finite space"):
        record(run, finite("space.perturbation.epsilon={low: 0.1, high: 0.2}"))


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    text, table = tmp_path / "text", tmp_path / "table.parquet"
    text.write_text("no table")
    pd.DataFrame({"recipe": ["base"]}).to_parquet(table)
    for wrong in (text, table, tmp_path / "nothing", tmp_path):
        with pytest.raises(InvalidInput, match=r": no such recording, expected a file that was recorded"):
            read(str(wrong))


def test_the_planned_compute_is_that_of_the_whole_schedule_even_of_one_that_ended_early() -> None:
    whole = curve(8, 0.5, 4e9)
    early = Curve(whole.rows[:3], "diverged", {}, 0.0)
    assert early.planned("train_flops") == whole.planned("train_flops") == 4e9
    assert early.planned("end_to_end_flops") == 4e9 + 5e10
    dense, small = {"model_bytes": 300.0}, Curve(whole.rows, None, {"model_bytes": 100.0}, 0.0)
    for one, size in ((small, 100.0), (early, 300.0)):
        foreseen = {OWN_FLOPS: 4e9, "train_flops": 4e9, "model_bytes": size}
        assert one.foreseen(["train_flops", "model_bytes"], dense) == foreseen


def test_a_recording_of_a_network_that_has_changed_since_is_refused_unless_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "recorded_network.py"
    module.write_text("def build(image_shape, classes): ...\n")
    whole = made(tiny())
    model = whole.study.model.model_copy(update={"name": "recorded_network:build"})
    study = whole.study.model_copy(update={"model": model})
    write(Recording(study, whole.curves, module_hashes(study)), tmp_path / "own.parquet")
    assert dict(read("own.parquet").fingerprint) == module_hashes(study)
    cluster = VirtualCluster(workers=1, decision=0.0)
    module.write_text("def build(classes, image_shape): ...\n")
    with pytest.raises(InvalidInput, match=r"own\.parquet: changed since it was written: module recorded_network\.py"):
        simulate_in_words("own.parquet", [], cluster)
    assert "recipes ended" in simulate_in_words("own.parquet", [], cluster, force=True)


def test_what_a_stop_spares_and_misses_is_told_beside_the_same_search_without_it(tmp_path: Path) -> None:
    study = finite("space.perturbation={kind: [n_fgsm], epsilon: {low: 0.1, high: 0.2, levels: 2}}")
    write(made(study), tmp_path / "own.parquet")
    cluster, fixed = VirtualCluster(workers=1, decision=0.0), len(list(FixedRecipes.of(study)))

    def told(stop: str) -> tuple[int, str]:
        settings = ["budget.trials=24", "sampler={kind: cost_aware, startup_trials: 4}", f"budget.stop={stop}"]
        lines = simulate_in_words(str(tmp_path / "own.parquet"), settings, cluster).splitlines()
        return int(lines[0].split()[0]) - fixed, lines[-1]

    (proposals, last), (every, other) = told("converged"), told("null")
    assert proposals < every == 24
    assert last.startswith(f"converged      {1 - proposals / 24:.0%} of the proposals and ")
    assert "converged" not in other


def test_a_search_whose_trials_all_begin_at_once_has_no_share_of_time_to_tell(tmp_path: Path) -> None:
    write(made(tiny()), tmp_path / "own.parquet")
    cluster = VirtualCluster(workers=8, decision=0.0)
    told = {
        trials: simulate_in_words(str(tmp_path / "own.parquet"), [f"budget.trials={trials}"], cluster)
        for trials in (0, 8)
    }
    assert "nan" not in told[0]
    assert "h on 8 workers\n" in told[0]
    assert "% of it computing while trials were left to start" in told[8]
