"""What a later version wrote is refused in words by every reader, and what an older one wrote is read."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from analysis.export.recipes import render
from analysis.run.format import FORMAT, check_format
from search.cli.app import temper
from search.record.run_directory import begun_run
from search.reproduce import reproduce
from search.study.loading import load
from tests.support.run_directories import INFO, start, worked_example
from trainables.errors import InvalidInput
from trainables.storage import Folder

LATER = {"format": FORMAT + 1, "provenance": {"versions": {"temper": "9.8.7"}}}


def refusal(command: Callable[[], Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        command()
    return str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "RUN"],
        ["report", "RUN"],
        ["export", "RUN"],
        ["resume", "RUN"],
        ["resume", "RUN", "--force"],
        ["record", "RUN", "--output", "out.parquet"],
        ["search", "digits", "--storage", "PLACE", "--name", "new", "--warm-start", "RUN"],
        ["search", "digits", "--storage", "PLACE", "--name", "run", "--or-resume"],
    ],
)
def test_a_run_of_a_later_format_is_refused_by_every_reader(tmp_path: Path, arguments: list[str]) -> None:
    run = tmp_path / "run"
    start(run, **LATER)
    before = sorted(tmp_path.rglob("*"))
    told = [argument.replace("RUN", str(run)).replace("PLACE", str(tmp_path)) for argument in arguments]
    message = refusal(lambda: CliRunner().invoke(temper, told, catch_exceptions=False, standalone_mode=False))
    assert message == (
        f"{run}/run.json: got format {FORMAT + 1}, expected at most {FORMAT}: Temper 9.8.7 wrote it; "
        "install a newer Temper to read it"
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("format", [0, -1, 1.0, True, "1", None, [1]])
def test_a_format_that_never_was_is_refused(format: Any) -> None:
    assert "no version of Temper wrote it" in refusal(lambda: check_format({"format": format}, "run.json"))


def test_a_record_that_does_not_say_which_version_wrote_it_is_refused_too() -> None:
    provenances: list[Any] = [None, {}, {"versions": {}}, {"versions": "?"}, {"versions": {"temper": None}}]
    for provenance in provenances:
        content = {"format": FORMAT + 1, "provenance": provenance}
        message = refusal(partial(check_format, content, "run.json"))
        assert "a later version of Temper wrote it" in message


def test_an_older_record_without_a_format_is_of_the_first(tmp_path: Path) -> None:
    info = {key: value for key, value in INFO.items() if key != "format"}
    Folder(str(tmp_path)).write_json("run.json", info)
    done = CliRunner().invoke(temper, ["status", str(tmp_path)], catch_exceptions=False, standalone_mode=False)
    assert "0 recipes ended" in done.output
    assert refusal(lambda: begun_run(str(tmp_path.parent), tmp_path.name, load("digits"))).endswith(
        "no readable study.yaml in it, expected the directory of a run"
    )


def test_an_export_of_a_later_format_is_refused_and_the_present_one_says_its_format(tmp_path: Path) -> None:
    run = worked_example(tmp_path / "run")
    content = yaml.safe_load(render([run.trials[3]], run, "yaml"))
    assert content["format"] == FORMAT
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(content | {"format": FORMAT + 1}))
    message = refusal(lambda: reproduce(str(file)))
    assert message.startswith(f"{file}: got format {FORMAT + 1}, expected at most {FORMAT}: a later version of Temper")
