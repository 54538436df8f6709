"""A run of user's code that has changed is refused by name; what is not here is said to be not compared."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.run.trials import Run, read_run
from search.cli.app import temper
from search.resume.comparison import check_run, compare
from search.resume.fingerprint import file_hash, fingerprint
from search.study.loading import load, read_study
from tests.support.checkout import ROOT
from trainables.errors import InvalidInput
from trainables.storage import Folder

MODULE = "tiny_network.py"


@pytest.fixture(params=["run_0_1", "run_0_2"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A recorded run of a network of the user's, in a working directory that has the network's module."""
    shutil.copytree(ROOT / "tests" / "fixtures" / request.param, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    return read_run(Folder("run"))


def test_an_unchanged_run_passes_and_the_version_that_made_it_is_told(run: Run) -> None:
    said: list[str] = []
    check_run(run, said.append, data=run.info["fingerprint"]["data"])
    made = (run.info["provenance"]["versions"]).get("temper")
    assert all("made by Temper" in line for line in said)
    assert len(said) <= (made is not None)


def test_a_changed_module_and_changed_data_are_refused_by_name_unless_forced(run: Run) -> None:
    Path(MODULE).write_text(Path(MODULE).read_text() + "\nCHANGED = True\n")
    with pytest.raises(InvalidInput, match=r"changed since it was written: module tiny_network.*--force"):
        check_run(run, lambda text: None)
    with pytest.raises(InvalidInput, match=r"changed since it was written: data, module tiny_network"):
        check_run(run, lambda text: None, data="other")
    said: list[str] = []
    check_run(run, said.append, force=True)
    assert "changed since it was written: module tiny_network" in said[0]


@pytest.mark.parametrize(
    "arguments",
    [("export", "run"), ("report", "run"), ("record", "run", "--output", "out.json"), ("reproduce", "recipe.yaml")],
)
def test_every_command_that_reads_a_run_refuses_changed_code(run: Run, arguments: tuple[str, ...]) -> None:
    export = CliRunner().invoke(temper, ["export", "run", "--pick", "max-robust"])
    assert export.exit_code == 0
    Path("recipe.yaml").write_text(export.stdout)
    Path(MODULE).write_text(Path(MODULE).read_text() + "\nCHANGED = True\n")
    told = CliRunner().invoke(temper, arguments)
    assert isinstance(told.exception, InvalidInput)
    assert "tiny_network" in str(told.exception)
    assert not Path("out.json").exists()


def test_status_shows_a_run_of_changed_code_and_says_so(run: Run) -> None:
    unchanged = CliRunner().invoke(temper, ["status", "run"])
    assert "changed" not in unchanged.output
    Path(MODULE).write_text(Path(MODULE).read_text() + "\nCHANGED = True\n")
    told = CliRunner().invoke(temper, ["status", "run"])
    assert told.exit_code == 0
    assert told.output.startswith(unchanged.output)
    assert "changed since it began: module tiny_network" in told.output


def test_code_that_is_not_here_is_said_to_be_not_compared(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(MODULE).unlink()
    said: list[str] = []
    check_run(run, said.append)
    assert "not compared, since not found from here: module tiny_network" in said[0]


def test_of_tempers_own_half_nothing_is_compared(run: Run) -> None:
    parts = run.info["fingerprint"] | {"code of trainables/": "other", "requirements.lock": "other", "study": "other"}
    found = compare(parts, read_study(run.folder))
    assert found.changed == found.absent == ()


def test_a_module_that_is_newly_there_matters_only_through_one_that_imports_it() -> None:
    study = load("digits")
    assert compare({}, study).changed == ()
    assert compare(fingerprint(study, "data"), study, "data").changed == ()
    assert compare(fingerprint(study, "data"), study, "other").changed == ("data",)


def test_a_shipped_file_that_has_changed_or_is_gone_is_told_by_its_name(run: Run) -> None:
    Path("widths").mkdir()
    Path("widths", "first.json").write_text("8")
    recorded = {**run.info["fingerprint"], "file widths": file_hash(Path("widths"))}
    study = read_study(run.folder)
    assert compare(recorded, study).changed == compare(recorded, study).absent == ()
    Path("widths", "first.json").rename(Path("widths", "second.json"))
    assert compare(recorded, study).changed == ("file widths",)
    shutil.rmtree("widths")
    assert compare(recorded, study).absent == ("file widths",)
