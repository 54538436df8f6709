"""Options that several commands share: numbers are finite, and data stand alone on standard output."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import search.cli
from search.cli.app import SECTIONS, temper
from search.cli.options import LENGTH, FiniteRange
from search.cli.search import _command
from tests.support.command import temper as run_temper

NOISY = """
import os
print("importing")

class Unmoved:
    bound, norm, passes, sound = 0.1, "linf", 0, True
    def __call__(self, model, x, target, generator):
        return x

def attack(epsilon, norm):
    print("making")
    os.system("echo from a child")
    return Unmoved()
"""


def test_every_range_of_numbers_is_of_finite_ones() -> None:
    commands = [one for verbs in SECTIONS.values() for one in verbs]
    ranges = [
        option for one in commands for option in one.params if isinstance(option.type, click.types.FloatParamType)
    ]
    names = {"epsilon", "hours", "price", "max_hours", "stretch", "failures", "repair", "decision"}
    assert {option.name for option in ranges} == names
    assert all(isinstance(option.type, FiniteRange) for option in ranges)


def test_a_radius_may_be_a_fraction() -> None:
    assert LENGTH.convert("8/255", None, None) == 8 / 255
    assert LENGTH.convert("0.1", None, None) == 0.1
    for wrong in ("0/255", "8/0", "-8/255"):
        with pytest.raises(click.BadParameter):
            LENGTH.convert(wrong, None, None)


@pytest.mark.parametrize("number", ["inf", "nan", "-inf", "1e999"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", "--json", "--price"],
        ["init", "x.yaml", "--model", "small", "--data", "digits", "--hours"],
        ["init", "x.yaml", "--model", "small", "--data", "digits", "--epsilon"],
        ["confirm", "run", "--max-hours"],
        ["evaluate", "model.onnx", "--epsilon"],
        ["simulate", "digits", "--repair"],
    ],
)
def test_what_is_no_number_is_no_price_and_no_time(arguments: Sequence[str], number: str) -> None:
    done = CliRunner().invoke(temper, [*arguments, number])
    assert done.exit_code == 2
    assert "Invalid value for" in done.output


def test_what_the_users_code_prints_does_not_mix_with_data(tmp_path: Path) -> None:
    (tmp_path / "noisy_own.py").write_text(NOISY)
    done = run_temper(
        "validate", "digits", "--json", cwd=tmp_path,
        settings=["baselines.0.perturbation={kind: 'noisy_own:attack', epsilon: 0.1}"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["valid"]
    for said in ("importing", "making", "from a child"):
        assert said in done.stderr


def test_ctrl_c_while_the_command_is_imported_ends_it_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupt:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "search.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "search.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupt(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        search.cli.main()
    assert ended.value.code == 130


def test_a_command_is_recorded_such_that_a_shell_reads_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["search", "my study.yaml", "--set", "baselines=[{name: x}]", "--name", "a"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/temper", *typed])
    assert shlex.split(_command()) == ["temper", *typed]
