"""An attack of the user's own: the documents' example trains a network, and what is none is refused in words."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.attacks.config import UserAttack
from trainables.attacks.registry import attack_of, warmed
from trainables.attacks.user_attack import check_user_attack
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput, TemperError
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.divergence import catastrophic_overfitting
from trainables.execution.pipeline import Pipeline
from trainables.execution.standalone import run
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import OrdinaryLoop
from trainables.storage import Folder

EXAMPLE = (Path(__file__).parents[2] / "support" / "mi_fgsm.py").read_text()
EVALUATION = ScoringProtocol(epsilon=0.2, steps=3)
CPU = torch.device("cpu")
DATA = Data(name="digits", train_size=100, validation_size=100)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(DATA)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, which wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of the user's, whose modules no earlier test has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("mi_fgsm", "theirs"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def recipe(kind: str, epochs: int = 2, **attack: Any) -> Recipe:
    plain: dict[str, Any] = {"data": DATA.model_dump(), "model": {"name": "small"}}
    plain["schedule"] = {"epochs": epochs, "learning_rate": 0.05}
    return Recipe.model_validate(plain | {"perturbation": {"kind": kind, "epsilon": 0.2, **attack}})


def numbers(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in pipeline.history]


def test_the_worked_example_trains_is_charged_and_goes_on_after_an_interruption(
    users_folder: Path, splits: Splits, tmp_path: Path
) -> None:
    (users_folder / "mi_fgsm.py").write_text(EXAMPLE)
    own = recipe("mi_fgsm:attack", epochs=3, settings={"steps": 2}, warm_up=0.5)
    whole = run(own, EVALUATION, splits, CPU)
    assert whole.metrics()["robust_accuracy"] > 0
    assert whole.ledger.attack == 3 * 100 * 2 * whole.cost.input_gradient
    planned = FlopsPlanner(splits, lambda _: pytest.fail("nothing was trained before")).plan(own)
    assert planned.as_dict() | {"validation": 0.0} == whole.ledger.as_dict() | {"validation": 0.0}
    folder = Folder(str(tmp_path / "checkpoint"))
    begun = Pipeline(own, EVALUATION, splits, None, CPU)
    begun.step()
    begun.save(folder)
    resumed = Pipeline(own, EVALUATION, splits, None, CPU)
    resumed.restore(folder)
    while not resumed.finished:
        resumed.step()
    assert numbers(resumed) == numbers(whole)


def test_its_radius_warms_up_and_its_settings_are_handed_on() -> None:
    attack = UserAttack(kind="tests.support.mi_fgsm:attack", epsilon=0.2, warm_up=0.5, settings={"steps": 7})
    bounds = [warmed(attack, step, 8).bound for step in range(8)]
    assert bounds == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.2, 0.2, 0.2, 0.2])
    assert attack_of(attack).passes == 7
    assert attack_of(attack.model_copy(update={"settings": {}})).passes == 3


def test_it_is_held_to_its_bound_in_training(users_folder: Path, splits: Splits) -> None:
    farther = EXAMPLE.replace("self.bound / self.passes", "2 * self.bound / self.passes")
    assert farther != EXAMPLE
    (users_folder / "mi_fgsm.py").write_text(farther)
    with pytest.raises(TemperError, match=r"MomentumAttack\(bound=0.2.*left its bound: .* allowed 0.2"):
        run(recipe("mi_fgsm:attack"), EVALUATION, splits, CPU)


def test_one_pass_is_looked_at_for_catastrophic_overfitting(users_folder: Path) -> None:
    (users_folder / "mi_fgsm.py").write_text(EXAMPLE)
    history = [
        {"epoch": 1, "train_accuracy": 0.6, "robust_accuracy": 0.5},
        {"epoch": 2, "train_accuracy": 0.9, "robust_accuracy": 0.0},
    ]
    for steps, found in ((1, True), (2, False)):
        attack = UserAttack(kind="mi_fgsm:attack", epsilon=0.1, settings={"steps": steps})
        assert bool(catastrophic_overfitting(history, attack, OrdinaryLoop(), examples=1000)) == found


def made(call: str = "*_", **changed: str) -> str:
    """A user's module: its attack is called in that way, and is as it should be but for what is changed."""
    values = {"passes": "0", "norm": "norm", "bound": "epsilon", "sound": "True"} | changed
    given = ", ".join(f"{name}={value}" for name, value in values.items())
    attack = f"class Made:\n  def __init__(self, **given): vars(self).update(given)\n  def __call__(self, {call}): ..."
    return f"{attack}\ndef own(epsilon, norm):\n  return Made({given})"


SIMPLE = "from types import SimpleNamespace as Made\ndef own(epsilon, norm):\n  return Made(passes=1, norm=norm)"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "got 'theirs:own', which cannot be imported"),
        ("import nosuchmodule", "got 'theirs:own', which cannot be imported"),
        ("def own(", "got 'theirs:own', which cannot be imported"),
        ("raise RuntimeError('no card')", "got 'theirs:own', which cannot be imported (RuntimeError: no card)"),
        ("own = 3", "got 'theirs:own', expected a function"),
        ("def own(): ...", "theirs:own does not take the keyword arguments epsilon, norm (got an unexpected keyword"),
        ("def own(epsilon, norm, steps): ...", "norm (missing a required argument: 'steps')"),
        (
            "def own(epsilon, norm): return 1 / 0",
            "theirs:own failed (ZeroDivisionError: division by zero) in theirs.py line 1",
        ),
        (
            "def own(epsilon, norm):\n  return 1 + \\\n    epsilon[0]",
            "failed (TypeError: 'float' object is not subscriptable) in ",
        ),
        (
            "def own(epsilon, norm):\n\n  assert norm == 'l1'",
            "failed (AssertionError without a message) in theirs.py line 3",
        ),
        ("def own(epsilon, norm): return epsilon.steps", "theirs:own failed (AttributeError: "),
        ("def own(epsilon, norm): return None + 1", "theirs:own failed (TypeError: "),
        ("def own(epsilon, norm): ...", "gave None, which has no passes, norm, bound, sound, __call__"),
        (SIMPLE, "which has no bound, sound, __call__"),
        (SIMPLE.replace("norm=norm", "norm=norm, bound=1, sound=True"), "which has no __call__"),
        (made("model, x"), "is not called as attack(model, x, target, generator)"),
        (made(passes="1.5"), "whose passes are 1.5, expected a whole number"),
        (made(passes="True"), "whose passes are True, expected a whole number"),
        (made(passes="-1"), "whose passes are -1, expected a whole number"),
        (made(norm="'l2'"), "whose norm is 'l2', expected 'linf', which it was called with"),
        (made(bound="None"), "whose bound is None, expected a number"),
        (made(bound="float('nan')"), "whose bound is nan, expected a number"),
        (made(sound="1"), "whose sound is 1, expected True or False"),
    ],
)
def test_what_is_no_attack_is_refused_in_words(source: str, message: str, users_folder: Path) -> None:
    (users_folder / "theirs.py").write_text(source + "\n")
    attack = UserAttack(kind="theirs:own", epsilon=0.1)
    with pytest.raises(InvalidInput) as caught:
        check_user_attack(attack, "here")
    (problem,) = caught.value.problems
    assert problem.startswith("here: ")
    assert message in problem


@pytest.mark.parametrize("call", ["*_", "model, x, y, z", "model, x, target, generator, more=1"])
def test_what_is_an_attack_is_not(call: str, users_folder: Path) -> None:
    (users_folder / "theirs.py").write_text(made(call))
    check_user_attack(UserAttack(kind="theirs:own", epsilon=0.1), "here")
