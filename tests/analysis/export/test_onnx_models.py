"""Models out of a run directory, whose weights are read back without training."""

from pathlib import Path

import pytest
import torch

from analysis.export.onnx_models import write_models
from analysis.run.trials import Run, Trial, read_run
from tests.support.run_directories import propose, start
from trainables.compression.config import ChannelPruning, Quantization
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.deployment.onnx_runtime import OnnxModel, agreement
from trainables.errors import InvalidInput
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule
from trainables.storage import Folder

DATA = Data(name="digits", train_size=600, validation_size=200)
QUICK = ScoringProtocol(epsilon=0.2, steps=1, examples=20, progress_steps=1, progress_examples=20)
COMPRESSED = Recipe(
    data=DATA,
    model=Network(name="small"),
    compression=ChannelPruning(pruning_ratio=0.5),
    quantization=Quantization(),
    schedule=Schedule(epochs=2, learning_rate=0.05, averaging=0.9),
)
BEST = Recipe(data=DATA, model=Network(name="small"), schedule=Schedule(epochs=2, learning_rate=0.05), keep="best")


@pytest.fixture(scope="module")
def trained() -> dict[str, Pipeline]:
    set_conditions(1)
    pipelines = {}
    for name, recipe in (("small", COMPRESSED), ("best", BEST)):
        pipelines[name] = Pipeline(recipe, QUICK, load_splits(DATA), None, torch.device("cpu"))
        pipelines[name].step()
        pipelines[name].step()
    return pipelines


def saved(root: Path, pipelines: dict[str, Pipeline]) -> Run:
    """A run directory that holds these."""
    start(root, evaluation=QUICK.model_dump())
    for number, (name, pipeline) in enumerate(pipelines.items()):
        folder = Folder(str(root)).child("trials", name)
        recipe = pipeline.recipe.model_dump(mode="json")
        propose(folder, {"id": name, "role": "proposed", "name": None, "number": number, "recipe": recipe})
        folder.write_json("outcome.json", {"state": "complete", "metrics": pipeline.metrics()})
        pipeline.save(folder.child("checkpoint"))
    return read_run(Folder(str(root)))


def trial(run: Run, name: str) -> Trial:
    found = run.finished(name)
    assert found is not None
    return found


def test_one_file_is_the_pruned_quantized_averaged_model(trained: dict[str, Pipeline], tmp_path: Path) -> None:
    run, file = saved(tmp_path / "run", trained), tmp_path / "new" / "model.onnx"
    told: list[tuple[str, int, int]] = []
    (line,) = write_models(run, [trial(run, "small")], str(file), doing=lambda *one: told.append(one))
    which = told[0][0].removesuffix("writing it")
    assert told == [(f"{which}writing it", 0, 0), (f"{which}trying it", 200, 200)]
    images = load_splits(DATA).validation.images
    assert agreement(OnnxModel(file.read_bytes()), trained["small"].deployed, images) >= 0.995
    assert line.startswith(f"{file}: {file.stat().st_size:,} bytes; ")
    assert "of 200 validation images labelled as by PyTorch" in line
    assert "ms (p95)" in line
    assert "measured on the fake-quantized model" in line


def test_several_go_into_a_folder_and_best_weights_are_taken(trained: dict[str, Pipeline], tmp_path: Path) -> None:
    run, folder = saved(tmp_path / "run", trained), tmp_path / "models"
    lines = list(write_models(run, [trial(run, "small"), trial(run, "best")], str(folder)))
    assert sorted(path.name for path in folder.iterdir()) == ["best.onnx", "small.onnx"]
    assert "fake-quantized" not in lines[1]
    checkpoint = Folder(str(tmp_path / "run")).child("trials", "best", "checkpoint", "2")
    checkpoint.write("weights.safetensors", b"")  # torn: the last whole checkpoint is of another epoch
    with pytest.raises(InvalidInput, match=r"trials/best/checkpoint: no whole checkpoint of the last epoch"):
        list(write_models(run, [trial(run, "best")], str(folder)))


def test_a_file_without_the_recorded_accuracy_is_refused_and_not_written(
    trained: dict[str, Pipeline], tmp_path: Path
) -> None:
    run, file = saved(tmp_path / "run", trained), tmp_path / "model.onnx"
    place = Folder(str(tmp_path / "run")).child("trials", "best")
    outcome = place.read_json("outcome.json")
    right = outcome["metrics"]["clean_accuracy"]
    outcome["metrics"]["clean_accuracy"] = right - 0.3
    place.write_json("outcome.json", outcome)
    wrong = trial(read_run(run.folder), "best")
    told = rf"trials/best: the exported network labels {100 * right:.1f}% of .* right, the run recorded "
    with pytest.raises(InvalidInput, match=told):
        list(write_models(run, [wrong], str(file)))
    assert not file.exists()


def test_a_place_that_cannot_be_written_is_refused(trained: dict[str, Pipeline], tmp_path: Path) -> None:
    run = saved(tmp_path / "run", trained)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="--output: "):
        list(write_models(run, [trial(run, "small")], str(tmp_path / "file" / "model.onnx")))
