"""Drafts for networks and data of all kinds are valid studies, which say what was found."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image
from pydantic import TypeAdapter
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from cluster.connection.session import Target
from search.cli.app import temper
from search.cli.studies import _name_of
from search.drafting.contents import Contents
from search.drafting.data import chosen_data
from search.drafting.draft import Look, Wish, _steps, look
from search.drafting.sizes import SIZES
from search.preflight.estimate import Slots
from search.preflight.workload import Work
from search.study.grid import Name
from search.study.study import Study
from trainables.config import parse, read_yaml
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.errors import InvalidInput
from trainables.estimation.speed import Speed
from trainables.models.build import build
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule
from trainables.user_modules import look_in

DIGITS = Data(name="digits", validation_size=200)
NETWORKS = """
import numpy as np
import torch
from torch import nn

class Grouped(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.stem, self.grouped = nn.Conv2d(channels, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1, groups=4)
        self.norm, self.depthwise = nn.BatchNorm2d(32), nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.last = nn.Linear(32, classes)
    def forward(self, x):
        x = torch.relu(self.norm(self.grouped(torch.relu(self.stem(x)))))
        return self.last((torch.relu(self.depthwise(x)) + x).mean((2, 3)))

class Transformer(nn.Module):
    def __init__(self, channels, size, classes):
        super().__init__()
        self.patches = nn.Conv2d(channels, 32, 4, 4)
        self.places = nn.Parameter(torch.zeros(1, (size // 4) ** 2, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(32, classes)
    def forward(self, x):
        return self.last(self.layers(self.patches(x).flatten(2).transpose(1, 2) + self.places).mean(1))

def grouped(image_shape, classes):
    return Grouped(image_shape[0], classes)

def transformer(image_shape, classes):
    return Transformer(image_shape[0], image_shape[1], classes)

def twelve(split):
    return np.random.default_rng(0).random((240, 1, 8, 8), np.float32), np.arange(240) % 12

def forty(split):
    return np.random.default_rng(0).random((200, 1, 8, 8), np.float32), np.arange(200) % 40

def linear(image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], classes))

def wrong(image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))
"""


@pytest.fixture(autouse=True)
def networks(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "drafted_networks.py").write_text(NETWORKS)
    look_in(tmp_path)
    yield
    look_in(None)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    images, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(images[:240], labels[:240], strict=True)):
        place = tmp_path / "scans of mine" / ("test" if number < 60 else "train") / f"digit {label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.reshape(8, 8) * 15).astype(np.uint8)).resize((43, 30)).save(place / f"{number}.png")
    return str(tmp_path / "scans of mine")


def texts(seen: Look) -> list[dict[str, object]]:
    """What is written at every size, each a valid study of that size."""
    written = []
    for size in SIZES:
        contents = Contents(**{**vars(seen.contents), "size": size, "notes": ["a: note", '"quoted" # and more']})
        text = contents.text()
        study = parse(Study, read_yaml(text, "drafted"))
        reference = next(one for one in study.baselines if one.name == study.reference)
        assert reference.schedule.epochs == size.epochs
        assert study.budget.trials == size.trials
        assert study.space is not None
        assert study.space.schedule.epochs.high == size.epochs
        assert study.data.train_size == size.images(len(seen.splits.train))
        assert "None" not in text
        assert all(line == line.rstrip() for line in text.splitlines())
        assert all(len(line) <= 120 for line in text.splitlines() if "path:" not in line)
        written.append(yaml.safe_load(text))
    return written


@pytest.mark.parametrize(
    ("model", "norm", "adamw", "pruned"),
    [
        ("drafted_networks:grouped", "linf", False, True),
        ("drafted_networks:grouped", "l2", False, True),
        ("drafted_networks:transformer", "linf", True, True),
        ("drafted_networks:linear", "linf", False, False),
    ],
)
def test_a_network_is_looked_at_and_a_study_is_written_for_it(model: str, norm: str, adamw: bool, pruned: bool) -> None:
    seen = look(Wish("mine", model, "digits", norm=norm), print)  # type: ignore[arg-type]
    for study in texts(seen):
        assert ("adamw" in str(study)) == adamw
        assert ("channel_pruning" in str(study)) == pruned
        assert ("quantization" in study["space"]) == (not pruned)  # type: ignore[operator]
        assert study["threat_model"] == {"norm": norm, "epsilon": 0.1 if norm == "linf" else 0.5}
    if not pruned:
        assert seen.found[0] == "no channel of it can be removed, so the study searches over bits"


def test_what_a_step_costs_is_said_of_the_reference_and_of_a_proposal() -> None:
    recipe = Recipe(
        data=DIGITS, model=Network(name="small"), schedule=Schedule(epochs=4, learning_rate=0.1, batch_size=100)
    )
    works = [Work("baseline", name, recipe, 1, 4e9, 4.0, 108.0, None) for name in ("pgd_at", "fast_at")]
    works.append(Work("proposed", "", recipe, 20, 2e9, 4.0, 36.0, None))
    slots = Slots("CPU", 2, Speed(1e9, 0.0, 0.0, 0.0), Speed(1e10, 0.0, 0.0, 0.0), 1.0)
    assert [*_steps(works, slots, 250)] == [  # three batches an epoch
        "A step of pgd_at on 100 images costs 3.3e+08 FLOPs, 0.33 s in a CPU slot.",
        "A step of a proposal, on average, on 100 images costs 1.7e+08 FLOPs, 0.017 s in a CPU slot.",
    ]


def test_the_largest_epsilon_there_is_can_be_drafted() -> None:
    seen = look(Wish("mine", "drafted_networks:linear", "digits", epsilon=0.45), print)
    assert all(study["space"]["perturbation"]["epsilon"]["high"] == 0.5 for study in texts(seen))  # type: ignore[index]


def test_an_image_folder_is_named_with_a_size_and_colour_has_another_epsilon(folder: str) -> None:
    seen = look(Wish("scans", "drafted_networks:grouped", folder), print)
    (study, *_) = texts(seen)
    assert study["data"] == {"name": "image_folder", "path": folder, "image_size": 24, "validation_size": 30}
    assert study["threat_model"] == {"norm": "linf", "epsilon": "8/255"}
    assert parse(Study, study).threat_model.epsilon == 8 / 255
    assert seen.splits.train.images.shape == (150, 3, 24, 24)
    assert seen.found[0].startswith("warning: data: 30 validation images score the recipes")
    assert chosen_data(folder, 16)[0].image_size == 16


@pytest.mark.parametrize(("classes", "held_out", "trained"), [("twelve", 40, 200), ("forty", 40, 160)])
def test_of_many_classes_at_least_one_image_each_is_held_out(classes: str, held_out: int, trained: int) -> None:
    """One in six images, or one of each class if those are more; the study divides them just so."""
    data, splits = chosen_data(f"drafted_networks:{classes}", None)
    assert data.validation_size == len(splits.validation) == held_out
    assert len(splits.train) == trained
    assert set(splits.validation.labels) == set(splits.train.labels) == set(range(splits.classes))
    assert load_splits(data).fingerprint() == splits.fingerprint()


def test_weights_take_the_place_of_ordinary_training(tmp_path: Path) -> None:
    model = build(Network(name="small"), (1, 8, 8), classes=10)
    save_file(
        {name: one.contiguous() for name, one in model.state_dict().items()}, tmp_path / "weights of mine.safetensors"
    )
    seen = look(Wish("mine", "small", "digits", str(tmp_path / "weights of mine.safetensors"), epsilon=0.2), print)
    for study in texts(seen):
        assert "pretraining" not in study
        assert study["pretrained"] == {"path": str(tmp_path / "weights of mine.safetensors")}
        assert study["threat_model"] == {"norm": "linf", "epsilon": 0.2}


@pytest.mark.parametrize(
    ("model", "data", "size", "problem"),
    [
        ("drafted_networks:wrong", "digits", None, "does not take images of shape (1, 8, 8)"),
        ("drafted_networks:missing", "digits", None, "has no missing"),
        ("resnet50", "digits", None, "--model: got 'resnet50', expected small, eight_layer, "),
        ("odd", "nowhere", None, "--model: got 'odd', expected small, eight_layer, "),
        ("small", "nowhere", None, "--data: got nowhere, expected digits"),
        ("small", "image_folder", None, "--data: got image_folder, expected digits"),
        ("small", "digits", 32, "--image-size: got 32 with digits"),
    ],
)
def test_what_cannot_be_used_is_refused(model: str, data: str, size: int | None, problem: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        look(Wish("mine", model, data, image_size=size), print)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"pretrained": "nowhere.pt"}, "--pretrained: nowhere.pt: No such file"),
        ({"epsilon": 8.0}, "--epsilon: got 8, expected"),
        ({"data": "drafted_networks:none"}, "--data: got 'drafted_networks:none', which"),
    ],
)
def test_problems_are_told_by_the_options_that_were_typed(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(problem)}"):
        look(Wish(**{"name": "mine", "model": "small", "data": "digits", **given}), print)


def test_a_study_is_drafted_for_the_cluster_that_is_named_and_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, drafted = tmp_path / "mine.yaml", list[Target]()

    def draft(wish: Wish, target: Target, say: object) -> str:
        drafted.append(target)
        return "name: mine"

    monkeypatch.setattr("search.drafting.draft.draft", draft)
    arguments = ["init", str(file), "--model", "small", "--data", "digits", "--address", "127.0.0.1:1"]
    with pytest.raises(InvalidInput, match=r"--address 127\.0\.0\.1:1: no Ray cluster answers there"):
        CliRunner().invoke(temper, arguments, catch_exceptions=False)
    assert not drafted
    monkeypatch.setattr("cluster.connection.reachable.require_cluster", lambda *_, **__: None)
    done = CliRunner().invoke(temper, [*arguments, "--allow-unauthenticated"], catch_exceptions=False)
    assert drafted == [Target("127.0.0.1:1", allow_unauthenticated=True)]
    assert done.output.endswith(f"Next       temper search {file} --address 127.0.0.1:1\n")
    assert file.read_text() == "name: mine"


def test_a_folder_without_a_readable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    (tmp_path / "train" / "a" / "broken.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match="holds no image that can be read"):
        chosen_data(str(tmp_path), None)


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    for name, problem in (("nowhere/mine.yaml", "cannot be written"), ("there.yaml", "is there already")):
        (tmp_path / "there.yaml").touch()
        with pytest.raises(InvalidInput, match=problem):
            CliRunner().invoke(
                temper, ["init", str(tmp_path / name), "--model", "no", "--data", "no"], catch_exceptions=False
            )


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mine.yaml", "mine"),
        ("my study.v2.yaml", "my_study.v2"),
        ("été.yaml", "t_"),
        ("_a.yaml", "a"),
        (".hid.yaml", "hid"),
        ("-x.yaml", "x"),
        (f"{70 * 'a'}.yaml", 64 * "a"),
        ("日本.yaml", "study"),
        ("2024.yaml", "2024"),
    ],
)
def test_any_legal_file_name_gives_the_name_of_a_study(file: str, name: str, tmp_path: Path) -> None:
    assert _name_of(tmp_path / file) == name
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("file", ["~nobody-of-that-name/x.yaml", f"{'x' * 300}.yaml"])
def test_a_file_that_cannot_be_is_refused_in_words(file: str) -> None:
    with pytest.raises(InvalidInput, match=r"^FILE: got "):
        CliRunner().invoke(temper, ["init", file, "--model", "small", "--data", "digits"], catch_exceptions=False)
    with pytest.raises(InvalidInput, match=r"^--data: got "):
        chosen_data(file, None)


@pytest.mark.parametrize("place", ["日本 😀", "a\u2028b\x7f", 'it\'s "1e-3"', "x: &y #z", "a" * 200 + " b"])
def test_any_path_is_written_as_it_is(place: str, tmp_path: Path) -> None:
    data = Data(name="image_folder", path=place, image_size=8, validation_size=10)
    contents = Contents("mine", data, "small", place, "linf", 0.1, True, 0.5, False, False, 100, SIZES[0], 1.0)
    (tmp_path / "mine.yaml").write_text(contents.text(), encoding="utf-8")
    read = yaml.safe_load((tmp_path / "mine.yaml").read_bytes())
    assert read["data"]["path"] == read["pretrained"]["path"] == place
    assert parse(Study, read_yaml(contents.text(), "mine")).data.path == place
