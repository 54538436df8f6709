"""A quantized network as it is deployed: the file labels as the network does, and the parent knows no rounding."""

import pytest
import torch
from torch.nn.utils import parametrize

from trainables.checkpoints.deployed_model import deployed_model
from trainables.checkpoints.trained_model import rebuild
from trainables.compression.config import ChannelPruning, Compression, NoCompression, Quantization
from trainables.compression.quantized_layers import ActivationQuantizer
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.standalone import run
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

DATA = Data(name="digits", validation_size=100)
BASE = Recipe(data=DATA, model=Network(name="small"), schedule=Schedule(epochs=2, learning_rate=0.05))
QUICK = ScoringProtocol(epsilon=0.2, steps=1, examples=10, progress_steps=1, progress_examples=10)


@pytest.mark.parametrize("compression", [NoCompression(), ChannelPruning(pruning_ratio=0.5)], ids=["dense", "pruned"])
def test_the_file_labels_as_the_network_and_the_parent_is_it_before_rounding(compression: Compression) -> None:
    recipe = Recipe(
        data=DATA,
        model=Network(name="small"),
        base=BASE,
        compression=compression,
        quantization=Quantization(weight_bits=8, activation_bits=8),
        schedule=Schedule(epochs=1, learning_rate=0.02),
    )
    splits = load_splits(DATA)
    weights = run(recipe, QUICK, splits, torch.device("cpu")).trained().weights
    made, network = deployed_model(recipe, splits, weights), rebuild(recipe, splits, weights)
    images = torch.from_numpy(splits.validation.images)
    with torch.no_grad():
        scores, file, parent = network(images), made.file(images), made.parent(images)
    assert (scores.argmax(1) == file.argmax(1)).float().mean() >= 0.97
    assert not torch.allclose(scores, parent, atol=1e-3)
    assert (scores.argmax(1) == parent.argmax(1)).float().mean() > 0.9
    assert not any(isinstance(part, ActivationQuantizer) for part in made.parent.modules())
    assert not any(parametrize.is_parametrized(part) for part in made.parent.modules())
    raw = dict(network.named_parameters())
    for name, value in made.parent.named_parameters():
        head, _, tail = name.rpartition(".")
        original = raw.get(name, raw.get(f"{head}.parametrizations.{tail}.original"))
        assert original is not None, name
        assert torch.equal(value, original)
