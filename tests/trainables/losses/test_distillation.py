"""Distillation: the loss against its formula, soft labels that are made once, restarts, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import trainables.execution.pipeline
from trainables.attacks.config import NFGSM, PGD, NoPerturbation
from trainables.attacks.registry import attack_of
from trainables.checkpoints.trained_model import SoftLabels, TrainedModel, soft_labels
from trainables.compression.config import ChannelPruning, Quantization
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.errors import TemperError
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.standalone import run
from trainables.losses.config import CrossEntropy, Mixed, SoftTerm, Trades
from trainables.losses.distillation import SoftLoss
from trainables.losses.losses import loss_of
from trainables.models.config import Network
from trainables.models.weights import load_compressed
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import Augmentation, Schedule
from trainables.storage import Folder
from trainables.trainable import Allotment, RecipeTrainable, Setting
from trainables.training.epoch import Trainer, train_epoch
from trainables.training.optimization import optimizer_of

CPU = torch.device("cpu")
DATA = Data(name="digits", train_size=200, validation_size=100)
EVALUATION = ScoringProtocol(epsilon=0.2, steps=2, progress_steps=1)
BASE = Recipe(data=DATA, model=Network(name="small"), schedule=Schedule(epochs=2, learning_rate=0.05))
TEACHER = BASE.model_copy(
    update={
        "base": BASE,
        "compression": ChannelPruning(pruning_ratio=0.3),
        "quantization": Quantization(weight_bits=4, activation_bits=4),
        "perturbation": PGD(epsilon=0.2, steps=2),
        "schedule": Schedule(epochs=2, learning_rate=0.05, averaging=0.9),
        "keep": "best",
    }
)
STUDENT = BASE.model_copy(
    update={
        "base": BASE,
        "compression": ChannelPruning(pruning_ratio=0.5),
        "perturbation": NFGSM(epsilon=0.2),
        "distillation": Distillation(temperature=2.0, weight=0.7, teacher=TEACHER),
        "augmentation": Augmentation(crop_padding=1),
        "schedule": Schedule(epochs=2, learning_rate=0.1),
    }
)
OF_ITS_BASE = STUDENT.model_copy(update={"distillation": Distillation()})


@pytest.fixture(scope="module")
def splits() -> Splits:
    set_conditions(1)
    return load_splits(DATA)


@pytest.fixture(scope="module")
def base(splits: Splits) -> TrainedModel:
    return run(BASE, EVALUATION, splits, CPU).trained(teaches=True)


@pytest.fixture(scope="module")
def teacher(splits: Splits, base: TrainedModel) -> TrainedModel:
    return run(TEACHER, EVALUATION, splits, CPU, base).trained(teaches=True)


def numbers(pipeline: Pipeline) -> dict[str, float]:
    return {name: value for name, value in pipeline.metrics().items() if name != "device_seconds"}


def finish(pipeline: Pipeline) -> Pipeline:
    while not pipeline.finished:
        pipeline.step()
    return pipeline


def test_the_formula_and_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(20, 10, generator=generator)
    index, labels = torch.tensor([3, 17, 0, 9]), torch.tensor([1, 2, 3, 4])
    logits = torch.randn(4, 10, generator=generator, requires_grad=True)
    temperature, weight = 4.0, 0.3
    soft = SoftLoss.of(SoftTerm(temperature=temperature, weight=weight), teacher)
    value = soft(cross_entropy(logits, labels), logits, index)
    p, q = (teacher[index] / temperature).softmax(1), (logits / temperature).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    assert torch.allclose(value, 0.7 * cross_entropy(logits, labels) + 0.3 * 16 * divergence)
    torch.autograd.backward(value)
    hard = (logits.softmax(1) - nn.functional.one_hot(labels, 10)) / 4
    assert logits.grad is not None
    assert torch.allclose(logits.grad, 0.7 * hard + 0.3 * 4.0 * (q - p) / 4, atol=1e-6)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn() -> None:
    logits = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    soft = SoftLoss.of(SoftTerm(weight=1.0), logits)
    student = logits.clone().requires_grad_(True)
    value = soft(cross_entropy(student, torch.arange(6)), student, torch.arange(6))
    torch.autograd.backward(value)
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert student.grad is not None
    assert float(student.grad.abs().max()) < 1e-6


@dataclass(frozen=True)
class Noting(SoftLoss):
    """Notes what it is asked about."""

    asked: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, loss: Tensor, logits: Tensor, index: Tensor) -> Tensor:
        self.asked.append((logits.detach(), index))
        return super().__call__(loss, logits, index)


@pytest.mark.parametrize("loss", [CrossEntropy(), Mixed(), Trades()], ids=str)
def test_each_image_meets_its_own_soft_label_without_a_further_pass(loss: CrossEntropy | Mixed | Trades) -> None:
    """The student's logits are those of the loss, and gradients reach nothing but the student."""
    layer = nn.Linear(4, 3)
    model = nn.Sequential(nn.Flatten(), layer)
    x, y = torch.rand(10, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.arange(10).remainder(3)
    passes: list[int] = []
    model.register_forward_hook(lambda *_: passes.append(1))
    ledgers, counts = [], []
    soft = Noting(torch.randn(10, 3).log_softmax(1), temperature=4.0, weight=0.5)
    perturbation = NoPerturbation() if loss.kind == "cross_entropy" else NFGSM(epsilon=0.1)
    before = soft.target.clone()
    for given in (None, soft):
        passes.clear()
        trainer = Trainer(
            model=model,
            optimizer=optimizer_of(model, Schedule(epochs=1, learning_rate=1e-30)),
            rate=lambda step: 1e-30,
            after_step=lambda: None,
            augmentation=Augmentation(),
            generator=torch.Generator().manual_seed(0),
            cost=PassCost(1, 10, 100, 1000),
            ledger=Ledger(),
        )
        train_epoch(
            trainer, x, y, loss_of(loss), lambda step: attack_of(perturbation), first_step=0, batch_size=4, soft=given
        )
        ledgers.append(trainer.ledger)
        counts.append(len(passes))
    assert counts[0] == counts[1]
    assert ledgers[0] == ledgers[1]
    assert sorted(torch.cat([index for _, index in soft.asked]).tolist()) == list(range(10))
    if loss.kind == "cross_entropy":
        assert all(torch.allclose(model(x[index]), logits) for logits, index in soft.asked)
    assert torch.equal(soft.target, before)
    assert not soft.target.requires_grad


def test_soft_labels_are_the_deployed_networks_answers(splits: Splits, base: TrainedModel) -> None:
    """Pruned, quantized, averaged, and of the epoch that is kept."""
    for keep in ("last", "best"):
        recipe = TEACHER.model_copy(update={"keep": keep})
        pipeline = finish(Pipeline(recipe, EVALUATION, splits, base, CPU))
        images = splits.train.tensors(CPU)[0]
        state = torch.get_rng_state()
        trained = pipeline.trained(teaches=True)
        assert torch.equal(torch.get_rng_state(), state)
        assert trained.soft_labels is not None
        assert trained.soft_labels.logits.shape == (200, 10)
        assert trained.soft_labels.logits.dtype == np.float32
        assert trained.soft_labels.flops == pipeline.cost.forward
        if keep == "best":
            load_compressed(pipeline.deployed, load_tensors(trained.weights))
        with torch.no_grad():
            answers = pipeline.deployed.eval()(images.contiguous(memory_format=torch.channels_last))
        assert np.array_equal(trained.soft_labels.logits, answers.numpy())


def test_found_or_computed_a_students_soft_labels_are_the_same(
    splits: Splits, base: TrainedModel, teacher: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counting(recipe: Recipe, *rest: Any) -> SoftLabels:
        calls.append(recipe.id)
        return soft_labels(recipe, *rest)

    monkeypatch.setattr(trainables.execution.pipeline, "soft_labels", counting)
    for recipe, source in ((STUDENT, TEACHER), (OF_ITS_BASE, BASE)):
        calls.clear()
        given = teacher if source is TEACHER else None
        found = finish(Pipeline(recipe, EVALUATION, splits, base, CPU, given))
        assert calls == []
        whole = run(recipe, EVALUATION, splits, CPU)  # with nothing given
        assert calls == [source.id]
        assert numbers(found) == numbers(whole)
        assert found.trained().weights == whole.trained().weights


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("recipe", [STUDENT, OF_ITS_BASE], ids=["of another", "of its base"])
def test_a_distilled_recipe_continues_bitwise(
    splits: Splits, base: TrainedModel, teacher: TrainedModel, tmp_path: Path, recipe: Recipe, cached: bool
) -> None:
    given = [base, teacher if recipe is STUDENT else None]
    straight = finish(Pipeline(recipe, EVALUATION, splits, base, CPU, given[1]))
    if not cached:
        given = [one and replace(one, soft_labels=None) for one in given]
    first = Pipeline(recipe, EVALUATION, splits, given[0], CPU, given[1])
    first.step()
    first.save(Folder(str(tmp_path)))
    second = Pipeline(recipe, EVALUATION, splits, given[0], CPU, given[1])
    second.restore(Folder(str(tmp_path)))
    assert second.epoch == 1
    assert numbers(finish(second)) == numbers(straight)
    assert second.trained() == straight.trained()


def test_it_changes_what_is_learnt(splits: Splits, base: TrainedModel, teacher: TrainedModel) -> None:
    plain = STUDENT.model_copy(update={"distillation": None})
    weights = {
        finish(Pipeline(plain, EVALUATION, splits, base, CPU)).trained().weights,
        finish(Pipeline(STUDENT, EVALUATION, splits, base, CPU, teacher)).trained().weights,
        finish(Pipeline(OF_ITS_BASE, EVALUATION, splits, base, CPU)).trained().weights,
    }
    assert len(weights) == 3


def test_a_shared_ancestor_is_trained_once(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    original = Pipeline.__init__

    def noting(self: Pipeline, recipe: Recipe, *rest: Any) -> None:
        begun.append(recipe.id)
        original(self, recipe, *rest)

    monkeypatch.setattr(Pipeline, "__init__", noting)
    run(STUDENT, EVALUATION, splits, CPU)
    assert begun == [BASE.id, TEACHER.id, STUDENT.id]


def test_a_teachers_own_trial_makes_the_soft_labels_and_students_do_not(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []
    running = ""

    def counting(recipe: Recipe, *rest: Any) -> SoftLabels:
        calls.append((running, recipe.id))
        return soft_labels(recipe, *rest)

    class ObjectCache:
        def __init__(self) -> None:
            self.held: dict[str, Any] = {}
            self.put = self.held.__setitem__

        def take(self, name: str, recover: Callable[[], Any]) -> Any:
            return self.held[name]

    monkeypatch.setattr(trainables.execution.pipeline, "soft_labels", counting)
    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "node"))
    ids = frozenset({BASE.id, TEACHER.id})
    setting = Setting(
        EVALUATION, Folder(str(tmp_path)), bases=ids, teachers=ids, shares={"base": Allotment(1, 0.0, "cpu")}
    )
    cache = ObjectCache()
    again = OF_ITS_BASE.model_copy(update={"seed": 1})
    for recipe in (BASE, TEACHER, STUDENT, OF_ITS_BASE, again):
        running = recipe.id
        trial = RecipeTrainable.__new__(RecipeTrainable)
        trial.setup({"role": "base", "recipe": recipe.model_dump(mode="json")}, setting, splits, cache)
        while not (result := trial.step())["done"]:
            pass
        assert result["metrics"]["flops_distillation"] == (
            0 if recipe in (BASE, TEACHER) else 200 * cache.held[(recipe.teacher or BASE).id].soft_labels.flops
        )
    assert calls == [(BASE.id, BASE.id), (TEACHER.id, TEACHER.id)]


def test_a_missing_teacher_is_refused(splits: Splits, base: TrainedModel, teacher: TrainedModel) -> None:
    with pytest.raises(TemperError, match="its teacher was not given"):
        Pipeline(STUDENT, EVALUATION, splits, base, CPU)
    with pytest.raises(TemperError, match="its teacher was given"):
        Pipeline(OF_ITS_BASE, EVALUATION, splits, base, CPU, teacher)
