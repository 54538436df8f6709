"""What the help says: every command under one heading, with examples that are valid and do what they say."""

import shlex
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from search.cli.app import EXAMPLES, SECTIONS, temper
from tests.support.checkout import ROOT
from trainables.errors import InvalidInput

FINISHED = [  # examples that need no more than a finished run
    "temper status runs/first",
    "temper status runs/first --watch",
    "temper compare runs/first runs/second --html both.html",
    "temper export runs/first --pick knee",
    "temper prune runs/first --dry-run",
    "temper studies",
]


def test_every_command_is_under_one_heading_and_has_examples() -> None:
    names = [command.name for commands in SECTIONS.values() for command in commands]
    assert sorted(map(str, names)) == sorted(temper.commands) == sorted(EXAMPLES)
    shown = CliRunner().invoke(temper, ["--help"]).output
    assert [heading for heading in SECTIONS if f"\n{heading}:\n" in shown] == list(SECTIONS)
    for name, examples in EXAMPLES.items():
        told = CliRunner().invoke(temper, [name, "--help"]).output
        assert "Examples:\n" in told
        assert all(f"  {example}\n" in f"{told}\n" for example in examples)


DIFFERENT = {  # what one word stands for in several senses, each told where it is
    "--address": 3,  # a cluster to run on, one to examine, a dashboard
    "--data": 2,
    "--dry-run": 3,
    "--force": 3,  # over a file, over changes of the user's, over any
    "--json": 3,  # with what people are not shown
    "--name": 2,
    "--output": 5,
    "--storage": 2,
}


def test_an_option_has_the_same_words_and_the_same_name_of_its_value_in_every_command() -> None:
    meanings = dict[str, set[tuple[str, str]]]()
    for command in temper.commands.values():
        for option in command.params:
            if isinstance(option, click.Option):
                words = (option.help or "").partition("  [default: ")[0]
                assert words.endswith("."), (command.name, option.opts)
                value = "" if option.is_flag else option.make_metavar(click.Context(command))
                assert value != "TEXT", (command.name, option.opts)
                meanings.setdefault(option.opts[0], set()).add((words, value))
    assert {name: len(several) for name, several in meanings.items() if len(several) > 1} == DIFFERENT
    assert len(meanings) >= 49


@pytest.mark.parametrize("example", [one for examples in EXAMPLES.values() for one in examples])
def test_an_example_is_a_command_that_can_be_given(example: str) -> None:
    words = shlex.split(example.removeprefix('eval "$(').removesuffix(')"'))
    assert words[0] == "temper"
    command = temper.commands[words[1]]
    context = command.make_context(words[1], words[2:], parent=click.Context(temper))
    assert not context.args


@pytest.mark.parametrize("example", FINISHED)
def test_an_example_works_on_a_finished_run(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(example in examples for examples in EXAMPLES.values())
    for name in ("first", "second"):
        shutil.copytree(ROOT / "tests" / "fixtures" / "run_0_2" / "run", tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(temper, shlex.split(example)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.output.strip()


def test_a_run_on_which_nobody_works_cannot_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "tests" / "fixtures" / "run_0_2" / "run", tmp_path / "runs" / "first")  # has no lease
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="no search works on it"):
        CliRunner().invoke(temper, ["stop", "runs/first"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "hint"), [("serch digits", "'search'"), ("search digits --nam x", "Did you mean '--name'?")]
)
def test_a_typo_is_told_what_was_meant(words: str, hint: str) -> None:
    done = CliRunner().invoke(temper, words.split())
    assert done.exit_code == 2
    assert hint in done.output
