"""Networks that no run has made: the user's own with weights, deployed files, and what is refused in words."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.run.format import read_info
from search.evaluating.evaluate import Result, evaluate
from search.evaluating.subjects import Wanted, find
from search.evaluating.words import as_json, table
from tests.support.command import temper_here
from tests.support.run_directories import INFO, worked_example
from trainables.checkpoints.deployed_model import DeployedModel
from trainables.compression.compressor import Compressors
from trainables.data.config import Data
from trainables.data.splits import load_splits, load_test
from trainables.deployment.onnx_export import to_onnx
from trainables.errors import InvalidInput
from trainables.evaluation.config import ThreatModel
from trainables.models.build import build
from trainables.models.config import Network
from trainables.storage import Folder

SMALL = Wanted(model="small", data="digits", epsilon=0.05, examples=30)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a network, as PyTorch saves them, and the network as an ONNX file."""
    folder = tmp_path_factory.mktemp("files")
    splits = load_splits(Data(name="digits", validation_size=10))
    torch.manual_seed(0)
    model = build(Network(name="small"), splits.train.images.shape[1:], pixels=((0.305,), (0.376,))).eval()
    torch.save(model.state_dict(), folder / "weights.pt")
    (folder / "model.onnx").write_bytes(to_onnx(model, splits.train.images.shape[1:], Compressors((), seed=0)))
    return folder


def test_a_network_with_weights_is_evaluated_on_the_test_split(files: Path) -> None:
    subject = find(replace(SMALL, weights=str(files / "weights.pt")), print)
    assert (subject.split, subject.white_box, len(subject.labels)) == ("test", True, 30)
    assert subject.threat_model == ThreatModel(epsilon=0.05)
    data = Data(name="digits", validation_size=10)
    test = load_test(data, load_splits(data))
    rows = {image.tobytes() for image in test.images}
    assert all(image.numpy().tobytes() in rows for image in subject.images)
    found = evaluate(subject, "quick", 0).network
    assert [turn.name for turn in found.turns] == ["PGD on two losses", "APGD-T"]


def test_pixels_are_normalized_as_the_options_say_or_else_it_is_said_how(files: Path) -> None:
    said: list[object] = []
    given = replace(SMALL, weights=str(files / "weights.pt"))
    usual = find(given, said.append)
    assert said == [
        "pixels are normalized by mean 0.305 and standard deviation 0.376, of the training images; weights that were "
        "trained with others need these as --pixel-mean and --pixel-std"
    ]
    subject = find(replace(given, pixel_mean=(0.5,), pixel_std=(0.25,)), said.append)
    assert len(said) == 1
    model = build(Network(name="small"), (1, 8, 8), pixels=((0.5,), (0.25,))).eval()
    model.load_state_dict(torch.load(files / "weights.pt"))
    with torch.no_grad():
        assert torch.equal(subject.model(subject.images), model(subject.images))
        assert not torch.allclose(subject.model(subject.images), usual.model(subject.images), atol=0.01)


def test_the_command_hands_on_how_pixels_are_normalized(files: Path) -> None:
    options = ["--weights", str(files / "weights.pt"), "--data", "digits", "--epsilon", "0.05"]
    done = temper_here("evaluate", "small", *options, "--pixel-mean", "0.5,0.25", "--pixel-std", "0.25,-1")
    assert done.stderr.strip() == "--pixel-std.1: got -1.0, expected a number > 0.0"


def test_a_deployed_file_is_attacked_without_gradients(files: Path) -> None:
    subject = find(replace(SMALL, model=str(files / "model.onnx")), print)
    white = find(replace(SMALL, weights=str(files / "weights.pt")), print)
    with torch.no_grad():
        assert torch.allclose(subject.model(subject.images), white.model(white.images), atol=1e-4)
    found = evaluate(subject, "quick", 0).network
    assert [turn.name for turn in found.turns] == ["Square"]
    assert found.scored_accuracy is None
    assert not found.white_box
    assert "an upper bound: a deployed file has no gradients" in "\n".join(table(subject, Result(found)))
    assert found.robust_accuracy >= evaluate(white, "quick", 0).network.robust_accuracy


def test_a_quantized_network_is_attacked_as_its_file_too_and_the_lower_number_counts(files: Path) -> None:
    subject = find(replace(SMALL, weights=str(files / "weights.pt")), print)
    file = find(replace(SMALL, model=str(files / "model.onnx")), print)
    result = evaluate(replace(subject, deployed=DeployedModel(file.model, subject.model)), "quick", 0)
    assert result.deployed is not None
    text, content = "\n".join(table(subject, result)), json.loads(as_json(subject, result))
    ours, theirs = result.network.robust_accuracy, result.deployed.robust_accuracy
    assert f"robust accuracy {ours:.3f} by gradients through its rounding, {theirs:.3f} of the file" in text
    assert f"{min(ours, theirs):.3f} counts" in text
    assert content["robust_accuracy"] == min(ours, theirs)
    assert content["deployed"]["surrogate_robust_accuracy"] == ours
    assert content["deployed"]["attacks"][0]["name"] == "replay"
    alone = json.loads(as_json(subject, Result(result.network)))
    assert "deployed" not in alone
    assert alone["robust_accuracy"] == ours


def test_a_file_from_elsewhere_may_have_other_names_and_one_image_a_call(files: Path, tmp_path: Path) -> None:
    import onnx

    made = onnx.load(files / "model.onnx")
    for node in made.graph.node:
        node.input[:] = ["input.1" if name == "images" else name for name in node.input]
        node.output[:] = ["logits" if name == "scores" else name for name in node.output]
    made.graph.input[0].name, made.graph.output[0].name = "input.1", "logits"
    for value in (made.graph.input[0], made.graph.output[0]):
        value.type.tensor_type.shape.dim[0].ClearField("dim_param")
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(made, tmp_path / "other.onnx")
    places = (files / "model.onnx", tmp_path / "other.onnx")
    ours, theirs = (find(replace(SMALL, model=str(place)), print) for place in places)
    assert torch.allclose(ours.model(ours.images), theirs.model(theirs.images), atol=1e-5)


def test_a_file_for_other_images_is_refused_in_words(files: Path) -> None:
    other = replace(SMALL, model=str(files / "model.onnx"), data="tests.search.evaluating.images:large")
    with pytest.raises(InvalidInput, match=r"onnxruntime fails on 2 images of shape \(1, 28, 28\)"):
        evaluate(find(other, print), "quick", 0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": None}, r"small: is neither RUN:ID nor a folder .*, so --data is needed"),
        ({"weights": None}, r"small: --weights FILE is needed"),
        ({"epsilon": None}, r"--epsilon: is needed"),
        ({"epsilon": 8.0}, r"^--epsilon: got 8, expected a number in \(0, 0.5\]"),
        ({"data": "digit"}, r"data.*digits"),
        ({"model": "smal"}, r"^MODEL: got 'smal', expected small"),
        ({"pixel_mean": (0.5,)}, r"^--pixel-mean and --pixel-std: got one of them, expected both or none"),
        ({"pixel_mean": (0.5, 0.5), "pixel_std": (1.0, 1.0)}, r"^--pixel-mean: got 2 numbers for images of 1 channel,"),
        ({"split": "validation"}, r"--split validation: a data set has none by itself"),
        ({"weights": "nowhere.pt"}, r"^--weights: nowhere.pt: No such file"),
        ({"model": "nowhere.onnx", "weights": None}, r"nowhere.onnx: No such file"),
        ({"model": "a.onnx"}, r"--weights: goes with module:function"),
        ({"source": "small"}, r"--transfer-from: got 'small', expected RUN:ID"),
    ],
)
def test_what_cannot_be_found_is_refused_in_words(files: Path, changed: dict[str, object], words: str) -> None:
    given = replace(SMALL, **{"weights": str(files / "weights.pt"), **changed})  # type: ignore[arg-type]  # by name
    with pytest.raises(InvalidInput, match=words):
        find(given, print)


def test_paths_that_cannot_be_are_refused_by_what_they_were_given_as() -> None:
    with pytest.raises(InvalidInput, match=r"^MODEL: got 'xxx.*File name too long"):
        find(Wanted(model=300 * "x"), print)
    with pytest.raises(InvalidInput, match=r"^--data: got ~nobody-of-that-name/x, of which no home folder is known"):
        find(Wanted(model="small", data="~nobody-of-that-name/x", weights="w"), print)
    with pytest.raises(InvalidInput, match=r"^--weights: got ~nobody-of-that-name/x, of which"):
        find(Wanted(model="small", data="digits", weights="~nobody-of-that-name/x"), print)


def test_a_run_without_one_of_its_networks_is_told_how_to_name_one(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    worked_example(run)
    with pytest.raises(InvalidInput, match=rf"is a run, expected {run}:knee or another of its networks$"):
        find(Wanted(model=str(run)), print)
    with pytest.raises(
        InvalidInput, match="trials/b/checkpoint: no whole checkpoint"
    ):  # it was chosen; its weights are gone
        find(Wanted(model=f"{run}:max-robust"), print)
    for given in (tmp_path / "runs", tmp_path / "first"):
        with pytest.raises(InvalidInput, match=rf"no readable run.json in it, expected .* such as {run}$"):
            read_info(Folder(str(given)))
    with pytest.raises(InvalidInput, match=r"expected the directory of a run$"):
        read_info(Folder(str(tmp_path / "elsewhere" / "second")))


def test_an_image_folder_needs_its_size(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--image-size: is needed with an image folder"):
        find(replace(SMALL, data=str(tmp_path)), print)


def test_a_run_without_a_finished_trial_is_refused(tmp_path: Path) -> None:
    Folder(str(tmp_path)).write_json("run.json", INFO)
    with pytest.raises(InvalidInput, match="no recipe in it"):
        find(Wanted(model=f"{tmp_path}:base"), print)


def test_a_seeded_network_says_the_same_twice(files: Path) -> None:
    subject = find(replace(SMALL, weights=str(files / "weights.pt")), print)
    first, second = (evaluate(subject, "quick", 3).network.broken_by for _ in range(2))
    assert first == second
    assert np.isin([one for one in first if one], ["clean", "PGD on two losses", "APGD-T"]).all()
