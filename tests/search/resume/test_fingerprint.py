"""What a run's numbers depend on: every part of it changes the fingerprint, wherever the part lies."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

import trainables
from search.record.provenance import provenance
from search.resume.fingerprint import differences, fingerprint
from search.study.loading import load
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
