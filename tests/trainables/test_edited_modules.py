"""A user's module that is edited while a process lives, and functions that lie in no module."""

from pathlib import Path

import pytest

from trainables.errors import InvalidInput
from trainables.user_code import user_function
from trainables.user_modules import STUDY_FOLDER, forget_changed


def call(reference: str) -> object:
    return user_function(reference, "model.name")()


def test_what_was_edited_is_imported_anew_once_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, in which a function is mended, or a module beside it, and a study run again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(STUDY_FOLDER, raising=False)
    (tmp_path / "beside_edited.py").write_text("VALUE = 1")
    (tmp_path / "edited.py").write_text("import beside_edited\ndef f(): return beside_edited.VALUE")
    (tmp_path / "left_alone.py").write_text("class Mine: pass\ndef f(): return Mine")
    before = call("left_alone:f")
    assert call("edited:f") == 1
    (tmp_path / "beside_edited.py").write_text("VALUE = 22")
    assert call("edited:f") == 1  # within a search all is of one source
    forget_changed()
    assert call("edited:f") == 22
    (tmp_path / "edited.py").write_text("def f(): return 'no longer imports it'")
    forget_changed()
    assert call("edited:f") == "no longer imports it"
    assert call("left_alone:f") is before
    (tmp_path / "edited.py").unlink()
    forget_changed()
    with pytest.raises(InvalidInput, match="No module named 'edited'"):
        call("edited:f")


def test_a_function_of_the_script_itself_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"got '__main__:net', which is defined in the script or notebook itself"):
        call("__main__:net")
