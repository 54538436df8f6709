"""The user's modules of a run that is read from another folder than the one where its search began."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from analysis.export.study_folder import find_modules, require_modules
from search.record.driver_session import driver_session
from tests.support.run_directories import start
from trainables.errors import InvalidInput
from trainables.storage import Folder
from trainables.user_modules import STUDY_FOLDER, look_in, user_folders


class Named(BaseModel):
    """Stands for a study that names a network of the user's."""

    name: str = "lonely_network:build"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A run of a study in project/, whose command was given in start/; the working directory is elsewhere/."""
    for name in ("project", "start", "elsewhere", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "project" / "lonely_network.py").write_text("def build(image_shape, classes): ...\n")
    start(tmp_path / "run")
    monkeypatch.setenv(STUDY_FOLDER, str(tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "start")
    folder = Folder(str(tmp_path / "run"))
    with driver_session(folder, "temper search ../project/study.yaml", resumes=False):
        pass
    look_in(None)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_they_are_found_where_the_search_looked(run: Folder, tmp_path: Path) -> None:
    said: list[str] = []
    assert find_modules(run, Named(), said.append) == []
    assert said == [f"{run}: lonely_network:build is taken from {tmp_path / 'project'}, where the search looked"]
    assert user_folders() == [tmp_path / "project", tmp_path / "elsewhere"]
    require_modules(run, Named(), said.append)  # they are found from here now
    assert len(said) == 1


def test_a_module_in_the_working_directory_comes_first(run: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "lonely_network.py").touch()
    require_modules(run, Named(), lambda text: pytest.fail(text))
    assert user_folders() == [tmp_path / "elsewhere"]


def test_modules_that_are_nowhere_are_refused_with_what_to_do(run: Folder, tmp_path: Path) -> None:
    (tmp_path / "project" / "lonely_network.py").unlink()
    assert find_modules(run, Named(), lambda text: pytest.fail(text)) == ["lonely_network:build"]
    with pytest.raises(InvalidInput, match=r"lonely_network:build is not found from here.*TEMPER_STUDY_FOLDER"):
        require_modules(run, Named(), lambda text: None)
    assert user_folders() == [tmp_path / "elsewhere"]
