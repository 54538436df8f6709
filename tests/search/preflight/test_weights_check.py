"""What is said of the user's trained weights before anything is trained from them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from search.preflight.weights_check import tried_weights
from search.study.loading import load
from search.study.study import Study
from trainables.data.splits import Splits, load_splits, pixel_statistics
from trainables.models.build import build


@pytest.fixture
def theirs(tmp_path: Path) -> tuple[Study, Splits, torch.nn.Module]:
    """A study that starts from weights which nobody trained, its data, and the network with these weights."""
    path, plain = tmp_path / "theirs.pt", load("digits", ["data.train_size=100"])
    splits = load_splits(plain.data)
    torch.manual_seed(0)
    model = build(plain.model, (1, 8, 8), classes=10, pixels=pixel_statistics(plain.data, splits.train)).eval()
    last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias.sub_(
            model(splits.validation.tensors(torch.device("cpu"))[0]).mean(0)
        )  # so that it answers each class
    torch.save(model.state_dict(), path)
    study = load("digits", ["data.train_size=100", "pretraining=null", f"pretrained={{path: {path}}}"])
    return study, splits, model


def test_weights_that_answer_nonsense_are_warned_of_with_the_classes(
    theirs: tuple[Study, Splits, torch.nn.Module],
) -> None:
    study, splits, _ = theirs
    (line,) = tried_weights(study, replace(splits, class_names=("zero", "one")))
    assert line.startswith("warning: pretrained.path: ")
    assert "theirs.pt: on 100 validation images its clean accuracy of 0." in line
    assert "chance level" in line
    assert line.endswith("in this order (zero, one, 2, 3, 4, …) and on pixels as the network is given them, in [0, 1]")


def test_what_weights_come_to_is_said(theirs: tuple[Study, Splits, torch.nn.Module]) -> None:
    study, splits, model = theirs
    images, labels = splits.validation.tensors(torch.device("cpu"))
    with torch.no_grad():
        answers = model(images).argmax(1).numpy()
    right = np.where(np.arange(len(labels)) < 90, answers, (answers + 1) % 10)
    lines = tried_weights(study, replace(splits, validation=replace(splits.validation, labels=right)))
    assert study.pretrained is not None
    assert lines == [f"note: pretrained.path: {study.pretrained.path}: 90.0% of 100 validation images are right"]


def test_weights_that_answer_one_class_are_warned_of(theirs: tuple[Study, Splits, torch.nn.Module]) -> None:
    study, splits, model = theirs
    assert study.pretrained is not None
    torch.save({name: torch.zeros_like(value) for name, value in model.state_dict().items()}, study.pretrained.path)
    same_file = study.pretrained.model_copy(update={"sha256": None})
    (line,) = tried_weights(study.model_copy(update={"pretrained": same_file}), splits)
    assert "on 100 validation images it answers one class for every image; expected weights" in line


def test_nothing_is_said_of_a_study_without_weights() -> None:
    study = load("digits", ["data.train_size=100"])
    assert tried_weights(study, load_splits(study.data)) == []
