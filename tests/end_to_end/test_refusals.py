"""Bad input to `temper search`: one message, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.command import temper, temper_here


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--or-resume"], "--or-resume goes with --name"),
        (["digits", "--or-resume", "--name", "a", "--dry-run"], "--or-resume goes with --name, and not with --dry-run"),
        (["digits", "--set", "budget.trails=3"], "budget.trails: unknown key, did you mean trials?"),
        (
            ["digits", "--set", "space.compression.pruning_ratio.high=1.2"],
            "space.compression.pruning_ratio.high: got 1.2, expected a number in [0, 0.95]",
        ),
        (["digits", "--set", "threat_model.epsilon=8"], "threat_model.epsilon: got 8, expected a number in (0, 0.5]"),
        (["digits", "--name", "a/b"], "expected letters, digits"),
        (["digits", "--name", ".."], "expected letters, digits"),
        (["digits", "--storage", "/proc/nowhere"], "cannot be written"),
        (["digits", "--storage", "/proc/nowhere", "--dry-run"], "cannot be written"),
        # Nothing is computed for a cluster that does not answer, not even the network tried.
        (["digits", "--address", "127.0.0.1:1"], "--address 127.0.0.1:1: no Ray cluster answers there"),
        (["digits", "--set", "resources.cpu=4096"], "resources.cpu: got 4096 CPUs a trial"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    refuses(temper_here, arguments, message, tmp_path)


def test_a_process_of_its_own_ends_in_the_same_way(tmp_path: Path) -> None:
    refuses(temper, ["nosuch"], "no such study", tmp_path)


def refuses(run: Callable[..., CompletedProcess[str]], arguments: list[str], message: str, tmp_path: Path) -> None:
    place = [] if "--storage" in arguments else ["--storage", str(tmp_path / "runs")]
    done = run("search", *place, *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["compare", "runs/first", "runs/second"], "--html"),
        (["record", "runs/first"], "--output"),
        (["simulate", "digits"], "--output"),
    ],
)
def test_a_place_for_what_comes_of_it_is_refused_before_the_work(
    command: list[str], option: str, tmp_path: Path
) -> None:
    done = temper_here(*command, option, str(tmp_path / "missing" / "file"))
    assert done.returncode == 2, done.stderr
    assert f"{option}: got {tmp_path}/missing/file, expected a file in a folder that is there" in done.stderr
    assert done.stdout == ""
