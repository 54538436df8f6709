"""No batch and no part of a batch is a single image, no image is lost, and other batches are as they always were."""

import pytest
import torch
from torch import nn

from analysis.run.summary import summary
from trainables.attacks.config import FGSM, PGD, NoPerturbation, Perturbation
from trainables.data.splits import Examples, Splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop, Loop, OrdinaryLoop, Schedule
from trainables.training.batches import batch_sizes, epoch_sizes, part_slices, schedule_images, schedule_steps

EVALUATION = ScoringProtocol(epsilon=0.1, steps=1, examples=10, progress_steps=1, progress_examples=5)


def normalizes_rows(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Normalizes (n, features) over the batch, which PyTorch refuses for one image in train mode."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * height * width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, classes)
    )


@pytest.mark.parametrize(
    ("examples", "size", "sizes"),
    [(193, 64, [64, 64, 65]), (65, 64, [65]), (66, 64, [64, 2]), (64, 64, [64]), (3, 64, [3]), (1, 64, [1])],
)
def test_a_last_batch_of_one_image_joins_the_batch_before(examples: int, size: int, sizes: list[int]) -> None:
    assert batch_sizes(examples, size) == sizes


def test_batches_of_one_image_that_were_asked_for_stay() -> None:
    assert batch_sizes(3, 1) == [1, 1, 1]
    assert batch_sizes(3, 2) == [3]


def test_all_other_batches_are_those_of_torch_split() -> None:
    for examples in range(2, 60):
        for size in range(1, 20):
            split = [len(one) for one in torch.split(torch.arange(examples), size)]
            if size == 1 or split[-1] != 1:
                assert batch_sizes(examples, size) == split
            else:
                assert batch_sizes(examples, size) == [*split[:-2], size + 1]


def test_parts_of_a_batch_are_of_two_images_at_least_and_together_the_batch() -> None:
    for size in range(1, 70):
        for examples in range(1, size + 2):
            parts = part_slices(examples, 4, size)
            covered = [number for part in parts for number in range(part.start, part.stop)]
            assert covered == list(range(examples))
            if size > 4 and examples > 1:
                assert min(part.stop - part.start for part in parts) > 1
    assert [part.stop - part.start for part in part_slices(64, 4, 64)] == [16, 16, 16, 16]
    assert [part.stop - part.start for part in part_slices(5, 4, 64)] == [2, 3]
    assert [part.stop - part.start for part in part_slices(4, 4, 4)] == [1, 1, 1, 1]  # memory holds no more


@pytest.mark.parametrize(
    ("perturbation", "loop"),
    [
        (NoPerturbation(), OrdinaryLoop()),
        (PGD(epsilon=0.1, steps=2), OrdinaryLoop()),
        (FGSM(epsilon=0.1), FreeLoop(replays=2)),
    ],
    ids=["ordinary", "adversarial", "free"],
)
@pytest.mark.parametrize("micro_batches", [1, 4])
def test_a_network_that_refuses_one_image_trains_on_all_of_them(
    perturbation: Perturbation, loop: Loop, micro_batches: int
) -> None:
    recipe = Recipe.model_validate(
        {
            "data": {"name": "digits", "validation_size": 10},
            "model": Network(name=f"{__name__}:normalizes_rows"),
            "perturbation": perturbation,
            "loop": loop,
            "schedule": Schedule(epochs=2, learning_rate=0.01, batch_size=8),
        }
    )
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(17, 1, 4, 4, generator=generator).numpy(), (torch.arange(17) % 3).numpy()
    splits = Splits(Examples(images, labels), Examples(images[:10], labels[:10]))
    pipeline = Pipeline(recipe, EVALUATION, splits, None, torch.device("cpu"), None, micro_batches)
    pipeline.step()
    pipeline.step()
    planned = FlopsPlanner(splits, lambda _: pytest.fail("it has no base")).plan(recipe)
    assert pipeline.ledger.as_dict() | {"validation": 0.0} == planned.as_dict()
    rate = pipeline.history[-1]["learning_rate"]
    assert rate is not None
    assert rate < 1e-4  # the curve ends with the last step


def test_the_last_epoch_may_end_early() -> None:
    cut = Schedule(epochs=3, learning_rate=0.1, batch_size=8, last_epoch_steps=2)
    assert [epoch_sizes(21, cut, epoch) for epoch in (1, 2, 3)] == [[8, 8, 5], [8, 8, 5], [8, 8]]
    assert (schedule_steps(21, cut), schedule_images(21, cut)) == (8, 58)
    for whole in (None, 3, 99):
        schedule = cut.model_copy(update={"last_epoch_steps": whole})
        assert (schedule_steps(21, schedule), schedule_images(21, schedule)) == (9, 63)
    none = Schedule(epochs=0, learning_rate=1.0, last_epoch_steps=2)
    assert (schedule_steps(21, none), schedule_images(21, none)) == (0, 0)


@pytest.mark.parametrize(
    ("perturbation", "loop"),
    [(PGD(epsilon=0.1, steps=2, warm_up=1.0), OrdinaryLoop()), (FGSM(epsilon=0.1), FreeLoop(replays=2))],
    ids=["ordinary", "free"],
)
def test_a_cut_schedule_costs_what_was_planned_and_ends_its_curve(perturbation: Perturbation, loop: Loop) -> None:
    def recipe(steps: int | None) -> Recipe:
        return Recipe.model_validate(
            {
                "data": {"name": "digits", "validation_size": 10},
                "model": Network(name=f"{__name__}:normalizes_rows"),
                "perturbation": perturbation,
                "loop": loop,
                "schedule": Schedule(epochs=3, learning_rate=0.01, batch_size=5, last_epoch_steps=steps),
            }
        )

    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(20, 1, 4, 4, generator=generator).numpy(), (torch.arange(20) % 3).numpy()
    splits = Splits(Examples(images, labels), Examples(images[:10], labels[:10]))
    planner = FlopsPlanner(splits, lambda _: pytest.fail("it has no base"))
    whole, cut = planner.plan(recipe(None)), planner.plan(recipe(1))
    assert cut.marginal == pytest.approx(whole.marginal * 45 / 60)
    pipeline = Pipeline(recipe(1), EVALUATION, splits, None, torch.device("cpu"))
    rows = [pipeline.step() for _ in range(3)]
    assert pipeline.finished
    assert pipeline.ledger.as_dict() | {"validation": 0.0} == cut.as_dict()
    assert [row["planned_train_flops"] for row in rows] == pytest.approx([cut.marginal] * 3)
    rate = rows[-1]["learning_rate"]
    assert rate is not None
    assert rate < 1e-4  # the curve ends with the last step
    assert recipe(1).id != recipe(None).id == recipe(None).id
    assert "3 epochs (the last: 1 step)" in summary(recipe(1).model_dump(mode="json"))
