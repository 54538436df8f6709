"""A user's modules: found in the study's folder first, whatever their names, and what goes wrong in them is theirs."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cluster.connection.runtime_env import PACKAGES, checkout, shielded
from search.study.loading import load
from trainables import user_errors
from trainables.errors import InvalidInput
from trainables.models.build import build
from trainables.models.config import Network
from trainables.user_code import source_files, user_function
from trainables.user_errors import reported
from trainables.user_modules import STUDY_FOLDER, WORKING_FOLDER, go_to_work, user_folders
from trainables.user_source import OURS

NET = """
from torch import nn
def net(image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(4, classes))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A study's folder, which is not the working directory."""
    (tmp_path / "study").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv(STUDY_FOLDER, str(tmp_path / "study"))
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path / "study"
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__path__", "")) + str(sys.modules[name].__file__):
            del sys.modules[name]


def call(reference: str) -> object:
    return user_function(reference, "model.name")()


def test_files_packages_and_folders_without_init_are_found_beside_the_study(folder: Path) -> None:
    (folder / "their_file.py").write_text("def f(): return 'file'")
    for package in ("their_package", "their_folder"):
        (folder / package).mkdir()
        (folder / package / "inner.py").write_text(f"def f(): return '{package}'")
    (folder / "their_package" / "__init__.py").write_text("from their_package.inner import f")
    assert call("their_file:f") == "file"
    assert call("their_package:f") == call("their_package.inner:f") == "their_package"
    assert call("their_folder.inner:f") == "their_folder"


def test_names_of_standard_and_installed_modules_are_theirs_without_hiding_the_others(folder: Path) -> None:
    import json
    import random

    for name in ("test", "random", "json", "yaml"):
        (folder / f"{name}.py").write_text(f"def f(): return 'their {name}'")
    (folder / "profile").mkdir()
    (folder / "profile" / "__init__.py").write_text("from .inner import f")
    (folder / "profile" / "inner.py").write_text("def f(): return 'their profile'")
    for name in ("test", "random", "json", "yaml", "profile"):
        assert call(f"{name}:f") == f"their {name}"
    assert sys.modules["random"] is random
    assert json.loads("1") == 1
    import profile

    assert hasattr(profile, "Profile")


def test_the_studys_folder_comes_before_the_working_directory(folder: Path) -> None:
    (folder / "both.py").write_text("def f(): return 'study'")
    (Path.cwd() / "both.py").write_text("def f(): return 'here'")
    (Path.cwd() / "only_here.py").write_text("def f(): return 'here'")
    assert call("both:f") == "study"
    assert call("only_here:f") == "here"


def test_a_study_read_from_a_file_is_where_its_modules_are_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STUDY_FOLDER)
    text = Path(checkout(), "search/study/shipped/digits.yaml").read_text()
    (folder / "study.yaml").write_text(text)
    load(str(folder / "study.yaml"))
    assert os.environ[STUDY_FOLDER] == str(folder)
    load("digits")
    assert STUDY_FOLDER not in os.environ


def test_another_studys_module_of_the_same_name_is_read_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "same.py").write_text("def f(): return 'first'")
    assert call("same:f") == "first"
    (folder / "second").mkdir()
    (folder / "second" / "same.py").write_text("def f(): return 'second'")
    monkeypatch.setenv(STUDY_FOLDER, str(folder / "second"))
    assert call("same:f") == "second"


def test_what_it_imports_beside_itself_comes_before_installed_modules_and_is_its_source(folder: Path) -> None:
    (folder / "needs.py").write_text("import attr, json\nfrom own_blocks import deep\ndef f(): return attr.mine + deep")
    (folder / "attr.py").write_text("mine = 1")
    (folder / "json.py").write_text("raise RuntimeError('the standard library comes first')")
    (folder / "own_blocks").mkdir()
    (folder / "own_blocks" / "__init__.py").write_text("from deepest import deep")
    (folder / "deepest.py").write_text("import needs\ndeep = 2")
    (folder / "unrelated.py").write_text("")
    kept = sys.modules.pop("attr", None)
    try:
        assert call("needs:f") == 3
    finally:
        if kept is not None:
            sys.modules["attr"] = kept
    files = source_files("needs:f")
    assert set(files) == {"needs.py", "attr.py", "json.py", "own_blocks/__init__.py", "deepest.py"}
    assert files["deepest.py"] == folder / "deepest.py"


def test_names_of_tempers_packages_are_refused_only_where_they_are_imported(folder: Path) -> None:
    for name in OURS:
        (folder / f"{name}.py").write_text("raise SystemExit('a script of mine')")
    (folder / "innocent.py").write_text("def f(): return 'fine'")
    (folder / "guilty.py").write_text("import middle\ndef f(): return 1")
    (folder / "middle.py").write_text("from search import RATE")
    assert call("innocent:f") == "fine"
    with pytest.raises(InvalidInput, match=r"but middle.py imports search, which is one of Temper's packages: rename"):
        call("guilty:f")
    with pytest.raises(InvalidInput, match="but analysis is one of Temper's packages, expected another name"):
        call("analysis:f")


@pytest.mark.parametrize("name", ["cluster.py", "yaml/__init__.py", "statistics.py"], ids=["ours", "installed", "std"])
def test_workers_are_shielded_where_a_module_would_hide_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shielded(tmp_path) is None
    (tmp_path / "search").mkdir()  # a folder of data, which Python does not take for a package
    (tmp_path / "models.py").write_text("")
    assert shielded(tmp_path) is None
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    environment = shielded(tmp_path)
    assert environment is not None
    assert not {f"{name}.py" for name in PACKAGES} & {path.name for path in Path(environment["working_dir"]).iterdir()}
    assert environment["env_vars"]["PYTHONPATH"].split(os.pathsep)[0] == str(checkout())
    monkeypatch.setenv(WORKING_FOLDER, environment["env_vars"][WORKING_FOLDER])
    monkeypatch.chdir("/")
    assert user_folders() == [tmp_path, Path("/")]
    go_to_work()
    assert Path.cwd() == tmp_path


def test_shipped_code_is_found_beside_tempers_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKING_FOLDER, "tests")  # stands for the folder that is shipped
    monkeypatch.chdir("/")
    assert user_folders() == [checkout() / "tests", Path("/")]
    for _ in range(2):  # as each trial of a process does
        go_to_work()
        assert Path.cwd() == checkout() / "tests"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:\n", r"\(SyntaxError: invalid syntax .*\) in wrong.py line 1"),
        (
            "\nimport nothing_of_that_name\n",
            r"\(ModuleNotFoundError: .* 'nothing_of_that_name'\) in wrong.py line 2",
        ),
        ("x = 1\nraise KeyError('x')", r"\(KeyError: 'x'\) in wrong.py line 2"),
        ("assert False, 'no GPU'", r"\(AssertionError: no GPU\) in wrong.py line 1"),
        ("import sys\nsys.exit('usage: wrong DATA')", r"\(SystemExit: usage: wrong DATA\) in wrong.py line 2"),
        (
            "import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\np.parse_args()",
            r"\(SystemExit: 2\) in wrong.py line 4",
        ),
        ("class Odd(BaseException): ...\nraise Odd('one')", r"\(Odd: one\) in wrong.py line 2"),
        ("raise GeneratorExit", r"\(GeneratorExit without a message\) in wrong.py line 1"),
        ("a = '\0'", r"\(SyntaxError: .*null bytes.*\) in wrong.py line 1"),
        ("g = 1", "wrong.py has no f"),
        ("f = 1", "expected a function"),
    ],
)
def test_what_fails_when_it_is_imported_is_theirs(
    folder: Path, source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "wrong.py").write_text(source)
    monkeypatch.setattr(sys, "argv", ["temper", "validate", "study.yaml"])
    with pytest.raises(InvalidInput, match=f"model.name: got 'wrong:f'.*{message}"):
        call("wrong:f")
    assert sys.argv == ["temper", "validate", "study.yaml"]


def test_a_script_that_parses_arguments_gets_its_own_defaults(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "script.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--width', type=int, default=16)\n"
        "width = p.parse_args().width\ndef f(): return width\n"
    )
    monkeypatch.setattr(sys, "argv", ["temper", "search", "study.yaml", "--width", "3"])
    assert call("script:f") == 16


def test_a_module_that_is_nowhere_is_told_with_the_folders(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=f"No module named 'nowhere'.*looked in {folder} and {Path.cwd()}"):
        call("nowhere:f")
    with pytest.raises(InvalidInput, match=r"got 'net.py:f', expected net:f, without the ending of the file"):
        call("net.py:f")
    with pytest.raises(InvalidInput, match="module:function, a module's name in Python's letters, digits and _"):
        load("digits", ["model.name=my-net:f"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "def net(shape, n): pass",
            r"takes \(shape, n\) \(.*'shape'\) in wrong_net.py line 1, expected a function of image_shape",
        ),
        (
            "from torch import nn\nnet = nn.Linear(4, 2)",
            "is a Linear, expected a function of image_shape and classes",
        ),
        ("def net(image_shape, classes): raise ValueError('square')", r"\(ValueError: square\) in wrong_net.py line 1"),
        ("def net(image_shape, classes):\n    assert 0, 'RGB'", r"AssertionError: RGB\) in wrong_net.py line 2"),
        ("def net(image_shape, classes): exit(1)", r"\(SystemExit: 1\) in wrong_net.py line 1; it is called with"),
    ],
)
def test_what_fails_when_a_network_is_made_is_theirs(folder: Path, source: str, message: str) -> None:
    (folder / "wrong_net.py").write_text(source)
    with pytest.raises(InvalidInput, match=f"model.name: wrong_net:net.*{message}"):
        build(Network(name="wrong_net:net"), (1, 2, 2))
    (folder / "right_net.py").write_text(NET)
    assert build(Network(name="right_net:net"), (1, 2, 2)) is not None


def test_code_that_hangs_is_told_with_its_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(user_errors, "PATIENCE", 0.05)
    (folder / "slow.py").write_text("import time\ndef f():\n    time.sleep(0.4)\n")
    slow: Callable[[], object] = user_function("slow:f", "data.name")
    with reported("data.name: slow:f", " failed"):
        slow()
    assert "data.name: slow:f: still running after" in caplog.text
    assert "in slow.py line 3; Ctrl-C ends it" in caplog.text


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import os; os.chdir('/')", "os.chdir"),
        ("import logging; logging.disable(50)", "logging.disable"),
        ("import io, sys; sys.stdout = io.StringIO()", "sys.stdout"),
        ("import torch; torch.set_default_dtype(torch.float64)", "torch.set_default_dtype"),
        ("import torch; torch.set_grad_enabled(False)", "torch.set_grad_enabled"),
        ("import torch; torch.set_default_device('meta')", "torch.set_default_device"),
    ],
)
def test_what_code_sets_for_the_whole_process_is_set_back(
    folder: Path, line: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "setter.py").write_text(f"{line}\ndef f(): pass\n")
    (folder / "setter_and_fails.py").write_text(f"{line}\n1 / 0\n")
    before = settings()
    call("setter:f")
    assert settings() == before
    assert f"setter:f': what it set for the whole process was set back: {name}" in caplog.text
    with pytest.raises(InvalidInput, match="ZeroDivisionError"):
        call("setter_and_fails:f")
    assert settings() == before


def settings() -> tuple[object, ...]:
    kept = Path.cwd(), logging.root.manager.disable, sys.stdout
    return (*kept, torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_default_device())
