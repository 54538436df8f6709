"""Which files are a user's source: what Python would import beside a module, and nothing that only lies there."""

from pathlib import Path

import pytest

from cluster.connection.runtime_env import runtime_env
from trainables.user_code import source_files
from trainables.user_modules import SHIPPED, STUDY_FOLDER
from trainables.user_source import modules_beside


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's folder."""
    monkeypatch.setenv(STUDY_FOLDER, str(tmp_path))
    return tmp_path


def test_copies_of_editors_are_no_source(folder: Path) -> None:
    """Jupyter's checkpoints, and Emacs's lock of a file that is edited: a link that leads nowhere."""
    package = folder / "mine"
    (package / ".ipynb_checkpoints").mkdir(parents=True)
    for name in ("__init__.py", "odd.py", ".ipynb_checkpoints/odd-checkpoint.py"):
        (package / name).write_text("def f(): return 1")
    (package / ".#odd.py").symlink_to("me@host.123:1")
    assert set(source_files("mine.odd:f")) == {"mine/__init__.py", "mine/odd.py"}
    with runtime_env({"mine": package}) as environment:
        sent = Path(environment["working_dir"], SHIPPED, "mine")
        assert sorted(one.name for one in sent.iterdir()) == ["__init__.py", "odd.py"]


def test_a_folder_of_logs_named_as_an_installed_module_is_not_imported(folder: Path) -> None:
    (folder / "logs.py").write_text("import attr, calendar, shared\ndef f(): return 1")
    for name in ("attr", "calendar", "shared"):  # installed, of the standard library, and of theirs alone
        (folder / name).mkdir()
        (folder / name / "train.py").write_text("x = 1")
    assert set(source_files("logs:f")) == {"logs.py", "shared/train.py"}


def test_an_installed_module_is_its_own_source_alone(folder: Path) -> None:
    files = source_files("json:loads")
    assert files
    assert {name.partition("/")[0] for name in files} == {"json"}
    virtual = folder / ".venv" / "site-packages"  # an environment in the user's folder is no code of theirs either
    virtual.mkdir(parents=True)
    (virtual / "one.py").write_text("import other")
    (virtual / "other.py").write_text("")
    assert modules_beside(virtual / "one.py") == [virtual / "one.py"]
