"""Work on trained networks: a line for each that is done, and a bar over all of them."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.placement.placement import Placement
from search.confirm.work import Work, run_work
from search.monitoring.progress import Terminal
from tests.support.terminals import FakeTerminal
from trainables.data.config import Data
from trainables.errors import InvalidInput
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

RECIPE = Recipe(
    data=Data(name="digits", validation_size=99),
    model=Network(name="small"),
    schedule=Schedule(epochs=1, learning_rate=0.1),
)
SPLITS: Any = None  # that no task here asks for


class FakeRay:
    """Ray as far as work needs it, in this process: a task is run where it is waited for."""

    def __init__(self) -> None:
        self.cancelled: list[Any] = []

    def remote(self, **options: Any) -> Any:
        def made(task: Any) -> Any:
            return SimpleNamespace(remote=lambda *given: (task, given))

        return made

    def put(self, value: Any) -> Any:
        return value

    def wait(self, running: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return running[:1], running[1:]

    def get(self, one: Any) -> Any:
        task, given = one
        return task(*given)

    def cancel(self, one: Any, force: bool) -> None:
        self.cancelled.append(one)


def work(task: Any) -> Work:
    recipes = [RECIPE.model_copy(update={"seed": seed}) for seed in range(3)]
    return Work(
        words="attacking {} networks", verb="attacking", task=task, left=[(one, (one.seed,)) for one in recipes],
        shared=(), told=lambda recipe: f"seed {recipe.seed}",
    )  # fmt: skip


def test_each_network_that_is_done_moves_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    stream, asked = FakeTerminal(), list[int]()
    done: list[int] = []

    def task(seed: int, splits: Any, placement: Placement) -> None:
        done.append(seed)

    run_work(work(task), SPLITS, placement=Placement(1), terminal=Terminal(stream), check=lambda: asked.append(1))
    assert done == [0, 1, 2]
    assert len(asked) == 3
    text = stream.getvalue()
    bars = [line for line in stream.drawn() if line.startswith("attacking  ")]
    assert bars[0] == f"attacking  {'░' * 24} 0 of 3"
    assert bars[-1] == f"attacking  {'█' * 24} 3 of 3"
    assert "attacking 3 networks\n" in text
    assert "   3/3" in text
    assert stream.drawn()[-1] == ""


def test_a_task_that_went_wrong_ends_the_others_and_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    stream = FakeTerminal()
    with pytest.raises(InvalidInput, match="no checkpoint"):
        run_work(
            work(lambda *given: "no checkpoint"), SPLITS, placement=Placement(1), terminal=Terminal(stream),
            check=lambda: None,
        )  # fmt: skip
    assert len(ray.cancelled) == 2
    assert stream.drawn()[-1] == ""
