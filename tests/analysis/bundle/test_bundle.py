"""A bundle: files that do what the trained network does without the code that made it, and a card of true numbers."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from analysis.bundle import bundle, deployed
from analysis.bundle.bundle import write_bundles
from analysis.bundle.card import card as card_of
from analysis.bundle.checks import check_files
from analysis.bundle.deployed import reference_of
from analysis.evidence.comparisons import Confirmed
from analysis.export.networks import network_of, recipe_of
from analysis.run.trials import Run, read_run
from search.evaluating.subjects import Wanted, find
from tests.support.run_directories import propose, start
from trainables.compression.config import ChannelPruning, Quantization
from trainables.data.config import Data
from trainables.data.image_folder import read_image_folder
from trainables.data.splits import load_splits
from trainables.errors import InvalidInput
from trainables.evaluation.config import ScoringProtocol, ThreatModel
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule
from trainables.storage import Folder

DATA = Data(name="digits", train_size=600, validation_size=200)
QUICK = ScoringProtocol(epsilon=0.2, steps=1, examples=200, progress_steps=1, progress_examples=20)
BRIEF = Schedule(epochs=1, learning_rate=0.05)
SMALL = Network(name="small")
SIZES = ((8, 8), (12, 12), (91, 37), (37, 91), (9, 8), (3, 5), (500, 7))
PRUNED = Recipe(data=DATA, model=SMALL, compression=ChannelPruning(pruning_ratio=0.5), schedule=BRIEF)
RECIPES = {
    "pgd": Recipe(data=DATA, model=SMALL, schedule=BRIEF),
    "pruned": PRUNED,
    "eight_bits": PRUNED.model_copy(update={"quantization": Quantization()}),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A dense reference, a pruned network, and the same with 8 bits, each trained for an epoch."""
    set_conditions(1)
    root = tmp_path_factory.mktemp("run")
    start(root, evaluation=QUICK.model_dump())
    for number, (name, recipe) in enumerate(RECIPES.items()):
        pipeline = Pipeline(recipe, QUICK, load_splits(DATA), None, torch.device("cpu"))
        pipeline.step()
        folder = Folder(str(root)).child("trials", name)
        role, title = ("baseline", "pgd_at_20") if name == "pgd" else ("proposed", None)
        kept = recipe.model_dump(mode="json")
        propose(folder, {"id": name, "role": role, "name": title, "number": number, "recipe": kept})
        folder.write_json("outcome.json", {"state": "complete", "metrics": pipeline.metrics()})
        pipeline.save(folder.child("checkpoint"))
    return read_run(Folder(str(root)))


def written(run: Run, name: str, place: Path, confirmed: dict[str, Confirmed] | None = None) -> list[str]:
    trial, said = run.finished(name), list[tuple[str, int, int]]()
    assert trial is not None
    lines = list(write_bundles(run, [trial], str(place), confirmed or {}, doing=lambda *told: said.append(told)))
    assert all(text.startswith(f"{trial.name or name[:8]} (1 of 1): ") for text, _, _ in said)
    assert [(done, total) for _, done, total in said if total][-1] == (200, 200)
    return lines


@pytest.fixture
def files_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models' files are not tried in a process of their own, so that the program alone is."""

    def alike(
        folder: Path, network: nn.Module, images: NDArray[np.float32], count: Callable[[int], object]
    ) -> dict[str, float]:
        count(len(images))
        return {"model.onnx": 1.0}

    monkeypatch.setattr(bundle, "check_files", alike)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch, files_alike: None) -> None:
    """Nothing is tried in a process of its own: for tests of what else is in the folder."""
    monkeypatch.setattr(bundle, "check_program", lambda *_: None)


@pytest.fixture(scope="module")
def pruned(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("out") / "pruned"
    lines = written(run, "pruned", place)
    assert_tried_and_timed(lines)
    return place


def assert_tried_and_timed(lines: Sequence[str]) -> None:
    """Each file was tried on all validation images, and each that runs was timed beside the reference's."""
    tried, (onnx, program), last = lines[1:4], lines[4:6], lines[6]
    assert [line.split(":")[0].strip() for line in tried] == ["model.onnx", "model.pt2", "model.safetensors"]
    shares = [re.search(r"([\d.]+)% of 200 validation images alike, in a fresh process$", line) for line in tried]
    assert all(share is not None and float(share[1]) >= 99 for share in shares)
    for name, line in (("onnx", onnx), ("pt2", program)):
        time = r"[\d.]+ / [\d.]+ ms"
        assert re.match(rf"  one image in {time} by model.{name}; pgd_at_20: {time}, [\d,]+ bytes$", line)
    assert last == "  p50 and p95 on this machine, 1 thread; timed in turn"


def test_the_folder_holds_what_it_says(pruned: Path) -> None:
    names = {path.name for path in pruned.iterdir()}
    card = (pruned / "README.md").read_text()
    listed = set(re.findall(r"^\| `(.+?)` \|", card, re.MULTILINE))
    assert names == listed | {"README.md"}
    assert json.loads((pruned / "config.json").read_text()) == {"image_shape": [1, 8, 8], "labels": [*"0123456789"]}
    assert yaml.safe_load((pruned / "recipe.yaml").read_text())["id"] == "pruned"


def test_the_card_has_the_recorded_numbers_and_a_hubs_head(run: Run, pruned: Path) -> None:
    card = (pruned / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["library_name"] == "pytorch"
    assert "license" not in head
    here, there = run.finished("pruned"), run.finished("pgd")
    assert here is not None
    assert there is not None
    row = next(
        line for line in card.splitlines() if line.startswith("| robust accuracy, found: validation split, PGD-1")
    )
    for one in (here.metrics["robust_accuracy"], there.metrics["robust_accuracy"]):
        low, high = map(float, re.findall(rf"\| {one:.3f} \(([\d.]+) to ([\d.]+)\)", row)[0])
        assert low < one < high
    assert f"| multiply-accumulates of one image | {here.metrics['inference_macs']:,.0f} | " in card
    assert "Found, not confirmed" in card
    assert "L∞ ε 0.2" in card


def test_an_interval_is_over_the_images_that_the_score_used(run: Run) -> None:
    """Of 0.6 of 128 images, Wilson's interval is 0.515 to 0.682 (of 77 in 128); of all 200 it would be narrower."""
    trial, splits = run.finished("pruned"), load_splits(DATA)
    assert trial is not None
    few = replace(run, info=run.info | {"evaluation": QUICK.model_dump() | {"examples": 128}})
    told = card_of(few, replace(trial, metrics={"robust_accuracy": 0.6}), {}, splits, ["0"], [], [], "")
    assert "0.600 (0.515 to 0.682)" in told
    assert "on the 128 validation images" in told
    more = replace(run, info=run.info | {"evaluation": QUICK.model_dump() | {"examples": 999}})
    assert "on the 200 validation images" in card_of(more, trial, {}, splits, ["0"], [], [], "")


def test_what_was_confirmed_is_said(run: Run) -> None:
    proven = Confirmed(
        number=1, seeds=6, robust_accuracy=0.61, low=0.58, high=0.64, clean=0.9, scored=0.7,
        parity="undecided", doubts=(), after={"APGD-CE": 0.65, "Square": 0.61},
    )  # fmt: skip
    reference = replace(proven, robust_accuracy=0.7, low=0.65, high=0.75, after={"APGD-CE": 0.72, "Square": 0.7})
    trial = run.finished("pruned")
    assert trial is not None
    splits = load_splits(DATA)
    card = card_of(run, trial, {"pruned": proven, "pgd": reference}, splits, ["0"], [], [], "")
    assert "0.610 (0.580 to 0.640) with 6 fresh seeds, parity undecided" in card
    assert "Found, not confirmed" not in card
    seeds = "confirmed: test split, mean of 6 fresh seeds"
    both = "0.610 (0.580 to 0.640) | 0.700 (0.650 to 0.750)"
    assert f"| robust accuracy, {seeds}, all attacks together | {both} |" in card
    assert "| … what stands once APGD-CE has had its turn | 0.650 | 0.720 |" in card
    assert f"| clean accuracy, {seeds} | 0.900 | 0.900 |" in card
    other = card_of(run, trial, {"pruned": proven, "pgd": replace(reference, number=2)}, splits, ["0"], [], [], "")
    assert f"| robust accuracy, {seeds}, all attacks together | 0.610 (0.580 to 0.640) |  |" in other


def test_predict_classifies_image_files_without_temper(run: Run, pruned: Path, tmp_path: Path) -> None:
    validation = load_splits(DATA).validation
    expected = fresh_labels(pruned, validation.images[:5])
    for number, image in enumerate(validation.images[:5]):
        Image.fromarray((image[0] * 255).round().astype(np.uint8)).save(tmp_path / f"{number}.png")
    done = subprocess.run(
        [sys.executable, "-I", str(pruned / "predict.py"), *(f"{number}.png" for number in range(5))],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [line.split("  ")[1].split()[0] for line in done.stdout.splitlines()] == [str(one) for one in expected]


def test_predict_says_how_it_is_called_and_which_files_it_cannot_read(pruned: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "good.png")
    np.save(tmp_path / "small.npy", np.zeros((1, 2, 2)))
    (tmp_path / "words.txt").write_text("no image")
    given = ["none.png", "words.txt", "small.npy", "good.png"]
    alone, done = (
        subprocess.run(
            [sys.executable, "-I", str(pruned / "predict.py"), *files],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )
        for files in ([], given)
    )  # fmt: skip
    assert (alone.returncode, alone.stdout, alone.stderr) == (2, "", "usage: python predict.py IMAGE...\n")
    assert done.returncode == 1
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == given[:3]
    assert done.stderr.splitlines()[0] == "none.png: No such file or directory"
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["good.png"]


def shipped_reader(folder: Path, shape: tuple[int, int, int]) -> Callable[[str], NDArray[np.float32]]:
    """Returns the shipped program's reader for a network that sees images of a shape."""
    (folder / "config.json").write_text(json.dumps({"image_shape": shape, "labels": ["a"]}))
    names: dict[str, Any] = {"__file__": str(folder / "predict.py"), "__name__": "shipped"}
    exec((folder / "predict.py").read_text(), names)
    reader: Callable[[str], NDArray[np.float32]] = names["read"]
    return reader


def pictures() -> dict[str, Image.Image]:
    """Returns an image of each form that files have, and of sizes that are scaled and cropped."""
    drawn = np.random.default_rng(0)
    deep = drawn.integers(0, 65536, (9, 9)).astype(np.uint16)
    grey = Image.fromarray((deep >> 8).astype(np.uint8))
    colours = {size: Image.fromarray(drawn.integers(0, 256, (*size[::-1], 3), np.uint8)) for size in SIZES}
    turned = Image.Exif()
    turned[0x0112] = 6
    colours[91, 37].info["exif"] = turned.tobytes()
    return {
        "deep.png": Image.fromarray(deep),
        "deep.tif": Image.fromarray(deep),
        "deeper.tif": Image.fromarray(deep.astype(np.int32)),
        "float.tif": Image.fromarray((deep / 65535).astype(np.float32)),
        "grey.png": grey,
        "one_bit.png": grey.convert("1"),
        "grey_alpha.png": grey.convert("LA"),
        "alpha.png": colours[12, 12].convert("RGBA"),
        "palette.png": colours[12, 12].convert("P"),
        "print.tif": colours[12, 12].convert("CMYK"),
        **{f"{width}x{height}.png": image for (width, height), image in colours.items()},
    }


def test_predict_reads_image_files_exactly_as_training_does(pruned: Path, tmp_path: Path) -> None:
    inner = tmp_path / "data" / "train" / "a"
    inner.mkdir(parents=True)
    read = shipped_reader(shutil.copytree(pruned, tmp_path / "bundle"), (3, 8, 8))
    made = pictures()
    for name, image in made.items():
        image.save(inner / name, exif=image.info.get("exif", b""))
    trained_on, _ = read_image_folder(tmp_path / "data", "train", 8)
    assert len(trained_on) == len(made) == 17
    for name, expected in zip(sorted(made), trained_on, strict=True):
        np.testing.assert_array_equal(read(str(inner / name)), expected, err_msg=name)
    assert 0.4 < read(str(inner / "deep.png")).mean() < 0.6


def test_predict_fills_shapes_that_are_no_square_and_refuses_what_is_no_picture(pruned: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pruned, tmp_path / "bundle")
    halves = np.repeat(np.array([[0, 255]], np.uint8), 20, axis=1).repeat(30, axis=0)
    Image.fromarray(halves).save(tmp_path / "halves.png")
    for height, width in ((6, 4), (4, 6), (9, 2)):
        found = shipped_reader(folder, (1, height, width))(str(tmp_path / "halves.png"))
        assert found.shape == (1, height, width)
        assert found[0, :, 0].max() < 0.3 < 0.7 < found[0, :, -1].min()
    Image.fromarray(np.full((9, 9), 7.0, np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match=r"^values 7 to 7, expected 0 to 1"):
        shipped_reader(folder, (1, 8, 8))(str(tmp_path / "float.tif"))
    with pytest.raises(ValueError, match=r"expected a \.npy array, since the network sees 2 channels"):
        shipped_reader(folder, (2, 8, 8))(str(tmp_path / "halves.png"))


@pytest.mark.usefixtures("files_alike")
def test_a_program_that_reads_files_otherwise_is_noticed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = (files("analysis.bundle") / "assets" / "predict.py.j2").read_text().replace("float32(255)", "float32(999)")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "predict.py.j2").write_text(wrong)
    monkeypatch.setattr(bundle, "files", lambda package: tmp_path)
    with pytest.raises(InvalidInput, match=r"predict.py: says .* of an image file, expected"):
        written(run, "pruned", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("files_alike")
def test_a_program_that_names_another_class_first_is_noticed_and_leaves_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the right one third, and digits such as 0 stand in its path and in every probability."""
    right = (files("analysis.bundle") / "assets" / "predict.py.j2").read_text()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "predict.py.j2").write_text(right.replace("[:3]", "[2::-1]"))
    monkeypatch.setattr(bundle, "files", lambda package: tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"predict.py: says .* of a validation image, expected \d first"):
        written(run, "pruned", tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())


def test_the_folder_is_evaluated_as_the_trial_is(run: Run, pruned: Path, tmp_path: Path) -> None:
    subject = find(Wanted(model=str(pruned), examples=40), print)
    trial = find(Wanted(model=f"{run.folder}:pruned", examples=40, force=True), print)
    assert (subject.split, subject.threat_model) == ("validation", ThreatModel(epsilon=0.2))
    assert torch.equal(subject.images, trial.images)
    with torch.no_grad():
        assert torch.equal(subject.model(subject.images), trial.model(trial.images))
    moved = shutil.copytree(pruned, tmp_path / "moved")
    save_file({"weight": torch.zeros(1)}, moved / "model.safetensors")
    with pytest.raises(InvalidInput, match="are not weights of the recipe's network"):
        find(Wanted(model=str(moved)), print)
    (moved / "model.safetensors").unlink()
    with pytest.raises(InvalidInput, match="expected the weights that the recipe made"):
        find(Wanted(model=str(moved)), print)
    with pytest.raises(InvalidInput, match="--weights and --data go without"):
        find(Wanted(model=str(moved), data="digits"), print)


def fresh_labels(folder: Path, images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[int]:
    network = torch.export.load(str(folder / "model.pt2")).module()
    return [int(label) for label in network(torch.from_numpy(images)).argmax(1)]


def test_eight_bits_have_integers_in_the_file_and_floats_in_the_program(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "new"
    assert_tried_and_timed(written(run, "eight_bits", place))
    card = (place / "README.md").read_text()
    assert "fake-quantized network in PyTorch" in card
    assert b"QuantizeLinear" in (place / "model.onnx").read_bytes()
    images = load_splits(DATA).validation.images[:20]
    subject = find(Wanted(model=str(place), examples=20), print)
    assert subject.deployed is not None
    program = torch.export.load(str(place / "model.pt2")).module()
    with torch.no_grad():
        assert torch.equal(program(torch.from_numpy(images)), subject.model(torch.from_numpy(images)))


def test_files_that_compute_something_else_are_noticed(run: Run, pruned: Path, tmp_path: Path) -> None:
    trial, splits = run.finished("pruned"), load_splits(DATA)
    assert trial is not None
    network = network_of(run, trial, recipe_of(run, trial), splits)
    folder = shutil.copytree(pruned, tmp_path / "bundle")
    weights = load_file(folder / "model.safetensors")
    save_file({name: torch.zeros_like(value) for name, value in weights.items()}, folder / "model.safetensors")
    with pytest.raises(InvalidInput, match=r"model.safetensors: labels [\d.]+% of .*, expected 99%"):
        check_files(folder, network, splits.validation.images)
    (folder / "model.pt2").write_bytes(b"no program")
    with pytest.raises(InvalidInput, match=r"a fresh process cannot use what was written \(.+\)"):
        check_files(folder, network, splits.validation.images)


def test_without_a_program_weights_are_tried_in_the_network_that_is_rebuilt(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(network: nn.Module, shape: tuple[int, ...]) -> bytes:
        raise InvalidInput("model.name: the network cannot be written by torch.export (its branches)")

    monkeypatch.setattr(deployed, "to_program", refused)
    place = tmp_path / "new"
    lines = written(run, "pruned", place)
    tried = [line.split(":")[0].strip() for line in lines if "in a fresh process" in line]
    assert tried == ["model.onnx", "model.safetensors"]
    assert "  model.pt2 is left out: the network cannot be written by torch.export (its branches)" in lines
    assert "there is no `model.pt2`, since the network cannot" in (place / "README.md").read_text()
    weights = load_file(place / "model.safetensors")
    save_file({name: torch.zeros_like(value) for name, value in weights.items()}, place / "model.safetensors")
    trial, splits = run.finished("pruned"), load_splits(DATA)
    assert trial is not None
    network = network_of(run, trial, recipe_of(run, trial), splits)
    with pytest.raises(InvalidInput, match=r"model.safetensors: labels [\d.]+% of .*, expected 99%"):
        check_files(place, network, splits.validation.images)


@pytest.mark.usefixtures("unchecked")
def test_the_reference_itself_is_compared_with_no_other(run: Run, tmp_path: Path) -> None:
    *_, timed, last = written(run, "pgd", tmp_path / "new")
    assert re.fullmatch(r"  one image in [\d.]+ / [\d.]+ ms by model.pt2", timed)
    assert last.endswith("1 thread; this is the reference itself")
    assert "the dense reference" not in (tmp_path / "new" / "README.md").read_text()


def test_why_there_is_no_reference_to_compare_with_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = run.finished("pruned")
    assert trial is not None
    assert reference_of(replace(run, trials=(trial,)), trial) == (
        None, "the run has no finished reference to compare with"
    )  # fmt: skip

    def refused(*_: object) -> nn.Module:
        raise InvalidInput("data.name: gone")

    for failing in ("load_splits", "network_of", "to_onnx"):
        with monkeypatch.context() as patched:
            patched.setattr(deployed, failing, refused)
            assert reference_of(run, trial) == (None, "the reference, pgd_at_20, is not compared with: data.name: gone")


def test_a_folder_that_holds_something_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="is there already, expected a folder that is new or empty"):
        written(run, "pruned", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
