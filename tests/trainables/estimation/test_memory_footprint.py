"""Memory of a trial: the same code on a CPU and on a GPU."""

from dataclasses import replace

import pytest
import torch

from search.recipes.fixed import FixedRecipes
from search.running.capacity import heaviest
from search.study.loading import load
from trainables.data.splits import Splits, load_splits
from trainables.estimation.memory_footprint import BATCHES, memory_footprint
from trainables.execution.memory import limit_memory

STUDY = load("digits", ["data.validation_size=100", "evaluation.steps=1"])
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(STUDY.data)


def test_a_footprint_is_what_training_takes_and_the_images_that_it_did_not_use(splits: Splits) -> None:
    recipe = heaviest(STUDY, FixedRecipes.of(STUDY))
    whole = memory_footprint(recipe, STUDY.protocol, splits, CPU)
    few = BATCHES * recipe.schedule.batch_size
    cut = replace(splits, train=type(splits.train)(splits.train.images[:few], splits.train.labels[:few]))
    again = memory_footprint(recipe, STUDY.protocol, cut, CPU)
    left_out = splits.train.images[few:].nbytes + splits.train.labels[few:].nbytes
    assert left_out == (len(splits.train) - few) * (64 * 4 + 8)
    assert 0 < again.peak < whole.total
    # The largest resident set of this process: it can only have grown between the two.
    assert again.peak >= whole.peak - left_out
    assert whole.device == "CPU"


def test_a_process_is_kept_to_its_share_of_a_card_and_on_a_cpu_to_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch takes the number of a card alone: of a device without one it raises, so a trial would never begin."""
    limits: list[tuple[float, int]] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *limit: limits.append(limit))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    limit_memory(CPU, 0.25)
    assert limits == []
    for gpu in (0.25, 1.0, 2.0):  # of a trial on two cards, this process has all of this one
        limit_memory(torch.device("cuda", 1), gpu)
    limit_memory(torch.device("cuda"), 0.5)
    assert limits == [(0.25, 1), (1.0, 1), (1.0, 1), (0.5, 3)]


@pytest.mark.gpu
def test_a_process_that_takes_more_than_its_share_of_a_card_is_refused_more() -> None:
    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        limit_memory(device, 0.25)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(total // 3, dtype=torch.uint8, device=device)
        torch.empty(total // 8, dtype=torch.uint8, device=device)
    finally:
        limit_memory(device, 1.0)
        torch.cuda.empty_cache()


@pytest.mark.gpu
def test_a_footprint_on_a_card_is_less_than_the_card_and_more_than_its_images(splits: Splits) -> None:
    found = memory_footprint(heaviest(STUDY, FixedRecipes.of(STUDY)), STUDY.protocol, splits, torch.device("cuda"))
    images = splits.train.images.nbytes + splits.validation.images.nbytes
    assert images < found.peak < found.total
    assert found.device == torch.cuda.get_device_properties(0).name
