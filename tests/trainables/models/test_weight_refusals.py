"""Files that hold no weights of the network are refused, by the name of the file or of the tensor."""

import gzip
import io
import math
import os
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn
from torchvision.models import resnet18

from tests.trainables.models.test_weights import SHAPE, small, theirs_and_ours
from trainables.errors import InvalidInput
from trainables.models.build import build
from trainables.models.config import Network, Weights
from trainables.models.weights import load_weights, sealed


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused_by_the_tensors_name(number: float, tmp_path: Path) -> None:
    theirs, ours = theirs_and_ours()
    state = theirs.state_dict()
    state["4.weight"][0] = number
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    torch.save({"net": state}, tmp_path / "weights.pt")
    with pytest.raises(InvalidInput, match=r"weights.pt: 4.weight has 288 of 9216 numbers that are not finite"):
        load_weights(ours, Weights(path=str(tmp_path / "weights.pt")))
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


def test_numbers_too_large_for_the_network_and_whole_numbers_are_refused(tmp_path: Path) -> None:
    theirs, ours = theirs_and_ours()
    wide = {name: value.double() for name, value in theirs.state_dict().items()}
    wide["1.weight"][0] = 1e300
    torch.save(wide, tmp_path / "wide.pt")
    with pytest.raises(InvalidInput, match=r"1.weight has 9 of 288 numbers that are not finite"):
        load_weights(ours, Weights(path=str(tmp_path / "wide.pt")))
    torch.save(theirs.state_dict() | {"1.weight": torch.ones(32, 1, 3, 3, dtype=torch.int8)}, tmp_path / "int8.pt")
    with pytest.raises(InvalidInput, match=r"1.weight is of torch.int8, expected floating-point numbers"):
        load_weights(ours, Weights(path=str(tmp_path / "int8.pt")))


def test_variances_below_zero_are_refused_by_the_tensors_name(tmp_path: Path) -> None:
    theirs, ours = theirs_and_ours()
    state = theirs.state_dict()
    state["2.running_var"] -= 3
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(InvalidInput, match=r"weights.pt: 2.running_var has negative numbers, expected variances"):
        load_weights(ours, Weights(path=str(tmp_path / "weights.pt")))


def test_tensors_beside_the_networks_are_named_alone(tmp_path: Path) -> None:
    theirs, ours = theirs_and_ours()
    state = {"module.model." + name: value for name, value in theirs.state_dict().items()}
    beside = {"module.normalizer.new_mean": torch.zeros(1), "module.normalizer.new_std": torch.ones(1)}
    torch.save({"model": state | beside}, tmp_path / "weights.pt")
    message = r"under module.model., and others beside them: \S+new_mean, \S+new_std; save those of the network alone"
    with pytest.raises(InvalidInput, match=message):
        load_weights(ours, Weights(path=str(tmp_path / "weights.pt")))


def test_another_number_of_classes_is_refused_with_both_numbers(tmp_path: Path) -> None:
    torch.save(resnet18(num_classes=1000).state_dict(), tmp_path / "imagenet.pt")
    ours = build(Network(name="torchvision:resnet18"), (3, 32, 32), classes=37)
    with pytest.raises(InvalidInput, match=r"imagenet.pt: .* a network of 1000 classes, expected 37"):
        load_weights(ours, Weights(path=str(tmp_path / "imagenet.pt")))


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def saved(content: Any, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def archived(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def tensors_file() -> bytes:
    return save({"weight": torch.zeros(100, 100)})


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty, expected weights"),
    "a pointer of Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "a web page": (lambda: b"\n<!DOCTYPE html><html><body>404", "is a web page, not weights"),
    "text": (lambda: b"I am no weights\n" * 9, "neither safetensors nor a state_dict"),
    "cut": (lambda: cut(saved({"weight": torch.zeros(100, 100)})), "it is cut short: its end is missing"),
    "cut safetensors": (lambda: cut(tensors_file()), "is a damaged or cut safetensors file"),
    "cut to a header": (lambda: tensors_file()[:20], "is a damaged or cut safetensors file"),
    "a pickled network": (
        lambda: saved(nn.Linear(2, 2)), "an object of torch.nn.modules.linear.Linear, .* network.state_dict",
    ),
    "objects in an array": (
        lambda: saved({"model": {"w": torch.zeros(2)}, "seen": np.array([Counter], dtype=object)}),
        r"it holds objects that are not loaded without running code; save network.state_dict\(\) alone",
    ),
    "cut, as old versions wrote": (
        lambda: cut(saved({"weight": torch.zeros(100, 100)}, zipped=False)), "is damaged or cut",
    ),
    "pickled otherwise": (lambda: pickle.dumps({"weight": torch.zeros(2)}), "pickled without torch.save"),
    "an archive of NumPy's": (lambda: archived(weight=np.zeros(2)), "an archive of another program"),
    "a gzipped file": (lambda: gzip.compress(saved({"weight": torch.zeros(2)})), "compressed by gzip; unpack it"),
    "a Keras file": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file"),
    "two networks": (
        lambda: saved({"student": {"w": torch.zeros(2)}, "teacher": {"w": torch.zeros(2)}}),
        "holds 2 state_dicts, under student, teacher; save the network's alone",
    ),
    "no tensors": (lambda: saved({"epoch": 3, "state_dict": {}}), "holds no state_dict"),
    "a list": (lambda: saved([torch.zeros(2)]), "holds no state_dict"),
    "an optimizer alone": (
        lambda: saved({"optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}}}), "holds no state_dict",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_file_of_weights_is_refused_by_the_files_name(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    path = tmp_path / "weights.pt"
    path.write_bytes(make())
    with pytest.raises(InvalidInput, match=rf"weights.pt: .*{message}"):
        load_weights(small(0), sealed(Weights(path=str(path))))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"is a folder, expected a file; a trial of a run keeps its weights in"):
        sealed(Weights(path=str(tmp_path)))


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch unpickled",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no tensors", "neither safetensors nor a state_dict"),
        (pickle.dumps(Hostile(), protocol=2), "neither safetensors nor a state_dict"),
        (None, "No such file or directory"),
    ],
)
def test_other_files_are_refused(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("weights.pt").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        load_weights(small(0), Weights(path="weights.pt"))
    assert not Path("unpickled").exists()


def test_other_networks_and_changed_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(nn.Linear(3, 2).state_dict(), path)
    with pytest.raises(InvalidInput, match=r"missing 1.weight, .* unknown bias, weight"):
        load_weights(small(0), Weights(path=str(path)))
    torch.save(build(Network(name="small"), SHAPE, classes=7).state_dict(), path)
    with pytest.raises(InvalidInput, match=r"tensors of another shape: 18.weight \(7, 64\) for \(10, 64\)"):
        load_weights(small(0), Weights(path=str(path)))
    before = sealed(Weights(path=str(path)))
    torch.save({"model": [1, 2]}, path)
    with pytest.raises(InvalidInput, match="is another file than the one of sha256"):
        load_weights(small(0), before)
    with pytest.raises(InvalidInput, match="holds no state_dict"):
        load_weights(small(0), Weights(path=str(path)))
