"""What a run's numbers depend on: every part of it changes the fingerprint, wherever the part lies."""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import trainables
from search.record.provenance import provenance
from search.resume.fingerprint import differences, fingerprint
from search.study.loading import changed, load
from tests.support.checkout import ROOT, importable


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that may be changed, taken for the one that runs."""
    shutil.copytree(ROOT / "trainables", tmp_path / "trainables", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    monkeypatch.setattr(trainables, "__file__", str(tmp_path / "trainables" / "__init__.py"))
    return tmp_path


def test_a_change_of_any_module_of_trainables_is_noticed(copy: Path) -> None:
    study = load("digits")
    before = fingerprint(study, "data")
    modules = importable("trainables")
    noticed = []
    for module in modules:
        text = (copy / module).read_bytes()
        (copy / module).write_bytes(text + b"\n# changed\n")
        noticed += [module] if differences(before, fingerprint(study, "data")) == ["code of trainables/"] else []
        (copy / module).write_bytes(text)
    assert noticed == modules
    assert len(modules) >= 40
    assert fingerprint(study, "data") == before


def test_a_change_of_the_lock_is_noticed_and_its_hash_is_in_the_record(copy: Path) -> None:
    study = load("digits")
    before = fingerprint(study, "data")
    assert before["requirements.lock"] != "none"
    lock = copy / "requirements.lock"
    assert provenance("temper")["lock_sha256"] == sha256(lock.read_bytes()).hexdigest()
    lock.write_text(lock.read_text() + "one-more==1.0\n")
    assert differences(before, fingerprint(study, "data")) == ["requirements.lock"]
    lock.unlink()
    assert fingerprint(study, "data")["requirements.lock"] == "none"
    assert json.loads(json.dumps(provenance("temper")))["lock_sha256"] is None


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package of three files in the working directory, which sys.path does not have, as for the command."""
    folder = tmp_path / "own_package"
    (folder / "deep").mkdir(parents=True)
    for name in ("__init__.py", "networks.py", "deep/__init__.py", "deep/layers.py"):
        (folder / name).write_text(f"# {name}\n")
    monkeypatch.chdir(tmp_path)
    elsewhere = [path for path in sys.path if path and Path(path).resolve() != tmp_path]
    monkeypatch.setattr(sys, "path", elsewhere)
    return folder


@pytest.mark.parametrize(
    "setting",
    [
        "model.name=own_package.networks:build",
        "data={name: own_package.networks:load, validation_size: 100}",
    ],
)
def test_a_change_of_any_file_of_a_users_package_is_noticed_by_name(package: Path, setting: str) -> None:
    study = load("digits", [setting])
    before = fingerprint(study, "data")
    names = ["__init__.py", "deep/__init__.py", "deep/layers.py", "networks.py"]
    assert sorted(part for part in before if part.startswith("module ")) == [f"module own_package/{x}" for x in names]
    for name in names:
        text = (package / name).read_text()
        (package / name).write_text("changed = True\n")
        assert differences(before, fingerprint(study, "data")) == [f"module own_package/{name}"]
        (package / name).write_text(text)
    (package / "deep" / "more.py").write_text("")
    assert differences(before, fingerprint(study, "data")) == ["module own_package/deep/more.py"]
    assert "own_package" not in sys.modules  # a study from strangers is hashed before anything of it is called


def test_a_module_of_one_file_is_hashed_alone_and_neither_listeners_nor_torchvisions_networks(package: Path) -> None:
    for name in ("own_file.py", "beside.py"):
        package.with_name(name).write_text("")
    parts = fingerprint(load("digits", ["model.name=own_file:build", "listeners=['beside:tracker']"]), "data")
    assert [part for part in parts if part.startswith("module ")] == ["module own_file.py"]
    parts = fingerprint(load("digits", ["model.name=torchvision:resnet18"]), "data")
    assert not [part for part in parts if part.startswith("module ")]


def test_what_came_after_0_2_is_in_the_hash_only_where_it_says_another_thing_than_0_2_did() -> None:
    """That the rest has the hash that 0.2 gave it is held by its run, in tests/end_to_end/test_older_versions.py."""
    plain = load("digits", ["evaluation.attack=pgd", "reference_point={robust_accuracy: 1.0 of base}"])
    content = plain.model_dump(mode="json")
    assert content["budget"].pop("stop") is None
    assert content["evaluation"].pop("attack") == "pgd"
    assert content["space"].pop("base") == ["base"]
    assert content["space"].pop("label_smoothing") is None
    assert content["model"].pop("uncounted_operators") == []
    assert content["model"].pop("pixel_mean") is content["model"].pop("pixel_std") is None
    assert content.pop("ship") == []
    assert content.pop("other_data") is None
    assert content.pop("listeners") == []  # which are in no hash, whatever they say
    content.pop("reference_point")
    schedules = [content["pretraining"], *(one["schedule"] for one in content["baselines"])]
    assert [one.pop("last_epoch_steps") for one in schedules] == [None] * len(schedules)
    before = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert fingerprint(plain, "data")["study"] == before[:16]
    cut = "baselines.0.schedule.last_epoch_steps=3"
    others = ("budget.stop=converged", "evaluation.attack=two_losses", "space.base=none", "reference_point={}", cut)
    for other in others:
        assert differences(fingerprint(plain, ""), fingerprint(changed(plain, [other]), "")) == ["study"], other
