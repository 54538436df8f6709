"""What is shipped of a user's code and files, and what is noticed before anything is sent."""

from pathlib import Path

import pytest
import yaml

from cluster.connection.runtime_env import runtime_env
from search.preflight.study_check import check_study
from search.remote.user_modules import try_shipped_copy, user_modules
from search.resume.fingerprint import differences, fingerprint
from search.study.loading import load, shipped
from search.study.study import Study
from trainables.errors import InvalidInput
from trainables.user_modules import SHIPPED

READS_AT_ONCE = """
import json, pathlib
from torch import nn
from their_blocks import head
WIDTH = json.loads((pathlib.Path(__file__).parent / "sizes" / "width.json").read_text())
def net(image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(image_shape[0] * 4, WIDTH), head(WIDTH, classes))
"""
READS_LATER = READS_AT_ONCE.replace("WIDTH = ", "def width(): return ").replace("WIDTH", "width()")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir("/")
    (tmp_path / "their_reader.py").write_text(READS_AT_ONCE)
    (tmp_path / "their_blocks.py").write_text("from torch import nn\nhead = nn.Linear\n")
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes" / "width.json").write_text("8")
    content = yaml.safe_load(shipped()["digits"].read_text()) | {"model": {"name": "their_reader:net"}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "study.yaml"


def read(study: Path, *ship: str) -> Study:
    return load(str(study), [f"ship={list(ship)}"])


def test_modules_what_they_import_and_named_files_are_shipped_by_their_paths(study: Path) -> None:
    beside = user_modules(read(study, "sizes/width.json"))
    assert sorted(beside) == ["sizes/width.json", "their_blocks.py", "their_reader.py"]
    with runtime_env(beside) as environment:
        assert Path(environment["working_dir"], SHIPPED, "sizes", "width.json").read_text() == "8"
    beside = user_modules(read(study, "sizes"))
    with runtime_env(beside) as environment:
        assert Path(environment["working_dir"], SHIPPED, "sizes", "width.json").read_text() == "8"


@pytest.mark.parametrize(
    ("module", "source"),
    [("their_reader", READS_AT_ONCE), ("copy", READS_LATER)],  # the standard library's copy is imported by nearly all
    ids=["when imported", "when called, in a module of a standard name"],
)
def test_a_file_that_is_not_named_is_noticed_before_anything_is_sent(study: Path, module: str, source: str) -> None:
    (study.parent / f"{module}.py").write_text(source)
    lacking = load(str(study), [f"model.name={module}:net"])
    with pytest.raises(InvalidInput, match=r"does not work where it is sent: .*sizes/width.json.*`ship: \["):
        try_shipped_copy(lacking, user_modules(lacking))


def test_once_it_is_named_the_code_works_where_it_is_sent(study: Path) -> None:
    (study.parent / "copy.py").write_text(READS_LATER)
    complete = load(str(study), ["model.name=copy:net", "ship=[sizes/width.json]"])
    assert "copy.py" in user_modules(complete)
    try_shipped_copy(complete, user_modules(complete))


def test_a_study_without_code_of_the_users_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a process was started"))
    try_shipped_copy(load("digits"), {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sizes/none.json", r"ship.0: got 'sizes/none.json', expected a file or folder in "),
        ("../secret", r"ship: got '../secret', expected a path from the study's folder"),
        ("/etc/passwd", r"ship: got '/etc/passwd', expected a path from the study's folder"),
        ("search/x.py", r"ship: got 'search/x.py', expected another name than that of Temper's packages"),
    ],
)
def test_what_cannot_be_shipped_is_refused(study: Path, name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_study(read(study, name))


def test_a_shipped_file_or_a_helper_that_changes_is_noticed(study: Path) -> None:
    before = fingerprint(read(study, "sizes"), "data")
    (study.parent / "sizes" / "width.json").write_text("16")
    assert differences(before, fingerprint(read(study, "sizes"), "data")) == ["file sizes"]
    (study.parent / "their_blocks.py").write_text("from torch import nn\nhead = nn.LazyLinear\n")
    assert "module their_blocks.py" in differences(before, fingerprint(read(study, "sizes"), "data"))
