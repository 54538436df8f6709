"""Curves: what is written live is what is rebuilt from the record."""

import contextlib
import io
import json
from errno import ENOSPC
from os import strerror
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from analysis.run.trials import read_run
from search.events import Outcome, Proposal
from search.monitoring import tensorboard
from search.monitoring.tensorboard import LiveCurves, write_tensorboard
from search.recipes.baselines import base_recipe
from search.study.loading import load
from tests.support.run_directories import add, propose, start
from trainables.attacks.config import UserAttack
from trainables.evaluation.attacked_images import AttackedImages
from trainables.execution.ending import FINISHED
from trainables.storage import Folder

RECIPE = base_recipe(load("digits"))
ROWS = [
    {"epoch": epoch, "loss": 1 / epoch, "learning_rate": 0.1, "clean_accuracy": 0.8, "robust_accuracy": 0.1 * epoch,
     "train_accuracy": 0.5, "train_flops": 1e9 * epoch, "end_to_end_flops": 2e9 * epoch}
    for epoch in (1, 2)
]  # fmt: skip
METRICS = {"robust_accuracy": 0.2, "train_flops": 2e9, "epochs": 2}


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def images(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """The newest picture of each tag, (height, width, 3)."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: np.asarray(Image.open(io.BytesIO(events.Images(tag)[-1].encoded_image_string)))
        for tag in events.Tags()["images"]
    }


def test_curves_are_there_while_a_trial_runs_and_the_same_when_rebuilt(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    proposal = Proposal(RECIPE, "base", "base", 0)
    label = tmp_path / "tensorboard" / f"0000-base-{RECIPE.id}"
    kept = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).astype(np.uint8)
    AttackedImages(kept, kept[::-1], *3 * [np.array([0, 1])]).write(folder.child("trials", RECIPE.id))
    with LiveCurves(folder, ("robust_accuracy", "train_flops")) as live:
        for row in ROWS:
            live.reported(proposal, row)
        assert scalars(label)["train/loss"] == [(1, 1.0), (2, 0.5)]
        assert scalars(label)["train/accuracy"] == [(1, 0.5), (2, 0.5)]
        live.ended(proposal, Outcome(FINISHED, METRICS, 1.0))
    written, shown = scalars(label), images(label)
    assert np.array_equal(shown["images, and under attack"][:4, 4:], shown["images, and under attack"][4:, :4])
    assert shown["images, and under attack"][0, :4, 1].tolist() == [16, 17, 18, 19]  # the green of the first image
    assert set(written) >= {
        "train/learning_rate", "validation/clean_accuracy", "validation/robust_accuracy", "compute/train_flops",
        "compute/end_to_end_flops", "objective/robust_accuracy", "objective/train_flops",
    }  # fmt: skip
    trial = folder.child("trials", RECIPE.id)
    start(tmp_path, base=RECIPE.id)
    propose(trial, {"id": RECIPE.id, "role": "base", "name": "base", "number": 0, "recipe": RECIPE.model_dump()})
    trial.write_json("outcome.json", {"state": "complete", "metrics": METRICS, "seconds": 1.0, "order": 0})
    trial.child("checkpoint", "2").write_json("state.json", {"history": ROWS})
    picture = io.BytesIO()
    Image.new("RGB", (3, 2), (0, 90, 200)).save(picture, format="png")
    folder.child("figures").write("frontier.png", picture.getvalue())
    write_tensorboard(read_run(folder))
    assert scalars(label) == written
    assert {tag: picture.tolist() for tag, picture in images(label).items()} == {
        tag: picture.tolist() for tag, picture in shown.items()
    }
    assert images(tmp_path / "tensorboard" / "search")["frontier"].tolist() == [[[0, 90, 200]] * 3] * 2


def test_grey_images_are_written_as_they_are(tmp_path: Path) -> None:
    kept = np.arange(2 * 4 * 4).reshape(2, 1, 4, 4).astype(np.uint8)
    AttackedImages(kept, kept[::-1], *3 * [np.array([0, 1])]).write(Folder(str(tmp_path)).child("trials", "grey"))
    start(tmp_path)
    add(tmp_path, "grey", robust=0.5, scores=[0.5], metrics={"epochs": 1})
    write_tensorboard(read_run(Folder(str(tmp_path))))
    (label,) = (tmp_path / "tensorboard").glob("*grey")
    shown = images(label)["images, and under attack"]
    assert shown.shape == (8, 8)
    assert np.array_equal(shown[:4, :4], kept[0, 0])
    assert np.array_equal(shown[4:, :4], kept[1, 0])


def test_a_rebuild_leaves_the_curves_of_running_trials_alone(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "running", state=None)
    curve = tmp_path / "tensorboard" / "0000-proposed-running" / "events"
    curve.parent.mkdir(parents=True)
    curve.write_text("")
    write_tensorboard(read_run(Folder(str(tmp_path))))
    assert curve.exists()
    assert (tmp_path / "tensorboard" / "search").exists()


def test_of_a_long_search_some_trials_are_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "MOST", 4)
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10, scores=[0.5], metrics={"epochs": 1})
    for number in range(1, 9):  # the third is the best and the cheapest
        robust, flops = (0.6, 1e8) if number == 3 else (0.5, 1e9)
        add(tmp_path, f"p{number}", number=number, robust=robust, flops=flops, scores=[0.5], metrics={"epochs": 1})
    live = tmp_path / "tensorboard" / "0002-proposed-p2"
    live.mkdir(parents=True)
    write_tensorboard(read_run(Folder(str(tmp_path))))
    rebuilt = sorted(folder.name for folder in (tmp_path / "tensorboard").iterdir() if list(folder.iterdir()))
    assert rebuilt == ["0000-pgd_at_20-pgd", "0001-proposed-p1", "0003-proposed-p3", "0008-proposed-p8", "search"]
    assert live.exists()


def columns(folder: Path) -> list[tuple[str, set[str]]]:
    """The folders of a logdir that say which columns its HParams table has, and what they say."""
    found = []
    for place in sorted(folder.iterdir()):
        events = EventAccumulator(str(place))
        events.Reload()
        with contextlib.suppress(KeyError):
            content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
            said = HParamsPluginData.FromString(content).experiment
            names = {one.name for one in said.hparam_infos} | {one.name.tag for one in said.metric_infos}
            found.append((place.name, names))
    return found


def test_the_columns_of_all_recipes_are_said_once(tmp_path: Path) -> None:
    """Of several records of columns TensorBoard takes any, and shows no others."""
    start(tmp_path)
    for number in range(2):
        add(tmp_path, f"p{number}", number=number, robust=0.5, scores=[0.5], metrics={"epochs": 1})
    soft = {"temperature": 2.0, "weight": 0.5, "teacher": None}
    path = tmp_path / "trials" / "p1" / "recipe.json"
    record = json.loads(path.read_text())
    record["recipe"] |= {"quantization": {"weight_bits": 4}, "distillation": soft}
    path.write_text(json.dumps(record))
    write_tensorboard(read_run(Folder(str(tmp_path))))
    ((place, names),) = columns(tmp_path / "tensorboard")
    assert place == "search"
    assert {"quantization.weight_bits", "distillation.weight", "distillation.teacher", "schedule.epochs"} <= names
    assert {"objective/robust_accuracy", "objective/train_flops", "from_base"} <= names


def test_settings_of_a_users_attack_stand_among_the_hyperparameters(tmp_path: Path) -> None:
    attack = UserAttack(kind="mine:own", epsilon=0.1, settings={"steps": 3, "how": None})
    recipe = RECIPE.model_copy(update={"perturbation": attack})
    proposal = Proposal(recipe, "baseline", "own", 0)
    with LiveCurves(Folder(str(tmp_path)), ("robust_accuracy",)) as live:
        live.reported(proposal, ROWS[0])
        live.ended(proposal, Outcome(FINISHED, METRICS, 1.0))
    events = EventAccumulator(str(next((tmp_path / "tensorboard").iterdir())))
    events.Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    written = HParamsPluginData.FromString(content).session_start_info.hparams
    assert {name for name in written if name.startswith("perturbation.")} == {
        "perturbation.kind", "perturbation.norm", "perturbation.epsilon", "perturbation.warm_up",
        "perturbation.settings.steps",
    }  # fmt: skip
    assert written["perturbation.settings.steps"].number_value == 3


@pytest.mark.parametrize("when", ["from the beginning", "after the first epoch"])
def test_curves_that_cannot_be_written_neither_end_a_search_nor_show_a_stack(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(ENOSPC, strerror(ENOSPC))

    proposal = Proposal(RECIPE, "base", "base", 0)
    with LiveCurves(Folder(str(tmp_path)), ("robust_accuracy", "train_flops")) as live:
        if when != "from the beginning":
            live.reported(proposal, ROWS[0])
        monkeypatch.setattr(RecordWriter, "write", full)
        for row in ROWS:
            live.reported(proposal, row)
        live.ended(proposal, Outcome(FINISHED, METRICS, 1.0))
    assert capfd.readouterr().err == ""
