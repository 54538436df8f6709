"""Recipes on networks of peculiar kinds: base, pruning in steps, averaging, a restart, and what is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from trainables.attacks.config import NFGSM
from trainables.checkpoints.trained_model import rebuild
from trainables.compression.config import ChannelPruning
from trainables.data.config import Data
from trainables.data.splits import Examples, Splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline
from trainables.execution.standalone import run
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule
from trainables.storage import Folder

CPU = torch.device("cpu")
EVALUATION = ScoringProtocol(epsilon=0.1, steps=1, progress_steps=1)


@pytest.fixture(scope="module")
def splits() -> Splits:
    generator = np.random.default_rng(0)

    def examples(count: int) -> Examples:
        return Examples(generator.random((count, 1, 8, 8), np.float32), np.arange(count) % 10)

    return Splits(examples(32), examples(16))


@pytest.mark.parametrize("kind", ["transformer", "own_attention", "shared", "auxiliary"])
def test_a_pruned_recipe_with_a_base_goes_on_after_a_restart_and_its_result_is_rebuilt(
    kind: str, splits: Splits, tmp_path: Path
) -> None:
    model = Network(name=f"tests.support.kinds:{kind}")
    data, schedule = Data(name="digits", train_size=32, validation_size=16), Schedule(epochs=1, learning_rate=0.01)
    base = Recipe(data=data, model=model, schedule=schedule)
    recipe = Recipe(
        data=data,
        model=model,
        base=base,
        compression=ChannelPruning(pruning_ratio=0.5, steps=2),
        perturbation=NFGSM(epsilon=0.1),
        schedule=schedule.model_copy(update={"epochs": 3, "averaging": 0.9}),
    )
    trained = run(base, EVALUATION, splits, CPU).trained()
    whole = Pipeline(recipe, EVALUATION, splits, trained, CPU)
    while not whole.finished:
        whole.step()
        whole.save(Folder(str(tmp_path / f"after {whole.epoch}")))
    assert whole.reason is None
    kept = whole.trained().weights
    for epoch in (1, 2):
        again = Pipeline(recipe, EVALUATION, splits, trained, CPU)
        again.restore(Folder(str(tmp_path / f"after {epoch}")))
        while not again.finished:
            again.step()
        assert again.trained().weights == kept
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(rebuild(recipe, splits, kept)(x), whole.deployed.eval()(x))
    assert sum(one.numel() for one in load(kept).values()) < sum(one.numel() for one in load(trained.weights).values())
