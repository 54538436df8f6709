"""What strangers may send: studies, recipes, models, recordings and run directories that mean harm, or are torn."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from analysis.report.report import write_report
from analysis.run.trials import read_run
from search.monitoring.tensorboard import write_tensorboard
from search.record.run_directory import open_run
from search.record.study_database import write_study_database
from search.remote.archive import pack
from search.reproduce import reproduce
from search.simulation import recording
from search.study.loading import load, read_study
from tests.support.run_directories import add, start, worked_example
from trainables.checkpoints.checkpoint import read_newest
from trainables.errors import InvalidInput
from trainables.models.build import build
from trainables.models.config import Weights
from trainables.models.weights import load_weights
from trainables.storage import Folder

EXECUTES = "!!python/object/apply:os.mkdir [{place}]"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghi", "bcdefghij")
)
SCRIPT = "<script>alert(1)</script>"


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.place),)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What would be there had anything been executed."""
    return tmp_path / "executed"


@pytest.mark.parametrize("content", [EXECUTES, "name: [", "\x00", "name: " + "[" * 5_000, BOMB, "- a list", ""])
def test_a_hostile_study_is_refused(content: str, place: Path, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(content.format(place=place) if content is EXECUTES else content)
    with pytest.raises(InvalidInput) as refused:
        load(str(study))
    assert len(str(refused.value)) < 5_000
    run = Folder(str(tmp_path)).child("run")
    run.write("study.yaml", study.read_bytes())
    with pytest.raises(InvalidInput):
        read_study(run)
    with pytest.raises(InvalidInput):
        reproduce(str(study))
    with pytest.raises(InvalidInput):
        load("digits", [f"budget={content.format(place=place) if content is EXECUTES else content or '[]'}"])
    assert not place.exists()


@pytest.mark.parametrize("name", ["../up", "/tmp/x", SCRIPT, "a b", "", "x" * 200, ".", "a\n", "a/../../b"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    for key in ("name", "baselines.0.name"):
        with pytest.raises(InvalidInput, match=r"name: got .*expected letters, digits"):
            load("digits", [f"{key}={yaml.safe_dump(name, default_style=chr(34))}"])
    with pytest.raises(InvalidInput):
        open_run(str(tmp_path), name)
    with pytest.raises(InvalidInput):
        Folder(str(tmp_path)).child("..")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reference", ["os:mkdir", "shutil:rmtree", "numpy:load", "torch.hub:load", "os.path:exists"])
def test_a_study_calls_no_function_but_those_of_the_working_directory(reference: str) -> None:
    for key in ("data", "model"):
        with pytest.raises(
            InvalidInput,
            match=f"{key}.name: got '{reference}', expected a module in the study's folder",
        ):
            load_and_use(key, reference)


def load_and_use(key: str, reference: str) -> None:
    from trainables.data.splits import load_splits

    study = load("digits", [f"{key}.name={reference}"])
    if key == "data":
        load_splits(study.data)
    else:
        build(study.model, (1, 8, 8), classes=10)


def test_a_module_elsewhere_is_called_once_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere_own.py").write_text(
        "from torch import nn\ndef model(image_shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidInput, match="TEMPER_MODULES=elsewhere_own"):
        load_and_use("model", "elsewhere_own:model")
    monkeypatch.setenv("TEMPER_MODULES", "other,elsewhere_own")
    load_and_use("model", "elsewhere_own:model")


def test_a_pickle_is_not_executed_wherever_weights_are_read(place: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "weights.pt"
    torch.save({"state_dict": Evil(place)}, hostile)
    model = build(load("digits").model, (1, 8, 8), classes=10)
    for content in (hostile.read_bytes(), pickle.dumps(Evil(place))):
        hostile.write_bytes(content)
        with pytest.raises(InvalidInput, match="neither safetensors nor a state_dict of plain tensors"):
            load_weights(model, Weights(path=str(hostile)))
        checkpoint = Folder(str(tmp_path)).child("checkpoint")
        checkpoint.child("1").write("weights.safetensors", content)
        checkpoint.child("1").write("state.json", content)
        assert read_newest(checkpoint) is None
    assert not place.exists()


@pytest.mark.parametrize("content", [b"", b"PAR1" + b"\xff" * 100 + b"PAR1", pickle.dumps({"a": 1})])
def test_a_recording_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "hostile.parquet").write_bytes(content)
    with pytest.raises(InvalidInput, match="no such recording"):
        recording.read(str(tmp_path / "hostile.parquet"))


def test_a_recording_with_other_contents_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"recipe": ["a"]})
    for study in (b"name: [", b"!!python/object/apply:os.getcwd []", b"name: digits"):
        parquet.write_table(table.replace_schema_metadata({recording.STUDY: study}), tmp_path / "r.parquet")
        with pytest.raises(InvalidInput):
            recording.read(str(tmp_path / "r.parquet"))


def test_a_hostile_run_directory_writes_nowhere_else_and_does_not_script_its_report(tmp_path: Path) -> None:
    root, outside = tmp_path / "inner" / "run", tmp_path / "inner"
    worked_example(root)
    start(root, name=SCRIPT, study=SCRIPT, baselines={"pgd": SCRIPT})
    add(root, "e", number=7, name=SCRIPT, state="fail", reason=f"{SCRIPT}<img src=x onerror=alert(1)>")
    add(root, "f", number=8, name="../../../evil", robust=0.7, flops=5e8)
    add(root, "g", number=9, name=SCRIPT, robust=0.75, flops=6e8)
    # A folder that says it is another one's recipe.
    trials = root / "trials"
    (trials / "h").mkdir()
    (trials / "h" / "recipe.json").write_text(
        (trials / "a" / "recipe.json").read_text().replace('"a"', '"../../evil"', 1)
    )
    before = {path for path in outside.rglob("*") if root not in path.parents} | {root}
    run = read_run(Folder(str(root)))
    assert run.unreadable == ("h",)
    write_report(run)
    write_study_database(run)
    write_tensorboard(run)
    pack(run.folder)
    assert {path for path in outside.rglob("*") if root not in path.parents} | {root} == before
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    report = (root / "report.html").read_text()
    assert SCRIPT not in report
    assert "<img src=x" not in report
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report


def test_a_module_of_the_working_directory_is_known_by_whatever_link_python_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "linked_own.py").write_text(
        "from torch import nn\ndef model(image_shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "link")
    monkeypatch.chdir(tmp_path / "link")
    load_and_use("model", "linked_own:model")
