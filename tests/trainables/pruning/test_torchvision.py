"""The smallest network of each of torchvision's families: what of it is pruned, and that the rest goes on as before."""

import pytest
import torch
from _pytest.mark import ParameterSet
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.checkpoints.tensors import pack_model
from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.models.build import build
from trainables.models.config import Network
from trainables.models.weights import load_compressed
from trainables.pruning.analysis import WEIGHTED, analyse

# For each family the least side of an image that it accepts, and the share of its layers that are pruned.
FAMILIES = {
    "alexnet": (63, 7 / 8),
    "convnext_tiny": (32, 58 / 59),
    "densenet121": (32, 120 / 121),
    "efficientnet_b0": (32, 81 / 82),
    "googlenet": (32, 57 / 58),
    "inception_v3": (75, 94 / 95),
    "maxvit_t": (224, 0.3),
    "mnasnet0_5": (32, 52 / 53),
    "mobilenet_v2": (32, 52 / 53),
    "mobilenet_v3_small": (32, 53 / 54),
    "regnet_y_400mf": (32, 0.9),
    "resnet18": (32, 20 / 21),
    "resnext50_32x4d": (32, 53 / 54),
    "shufflenet_v2_x0_5": (32, 36 / 57),
    "squeezenet1_1": (32, 25 / 26),
    "swin_t": (32, 12 / 53),
    "vgg11_bn": (32, 10 / 11),
    "vit_b_16": (224, 37 / 38),
}


def train(model: nn.Module, x: Tensor) -> None:
    torch.autograd.backward(cross_entropy(model.train()(x), torch.arange(len(x))))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(1e-3 * parameter.grad / (1 + parameter.grad.norm()))  # two images alone: steep
    model.zero_grad(set_to_none=True)


# Run in every check; the others by `make networks`.
PECULIAR = (
    "densenet121",
    "googlenet",
    "mnasnet0_5",
    "shufflenet_v2_x0_5",
    "swin_t",
)


def marked(name: str) -> ParameterSet:
    return pytest.param(name, marks=pytest.mark.slow if name in PECULIAR else pytest.mark.families)


@pytest.mark.parametrize("name", [marked(name) for name in FAMILIES])
def test_the_smallest_of_a_family_is_pruned_trained_and_loaded_to_equal_scores(name: str) -> None:
    side, share = FAMILIES[name]
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return build(Network(name=f"torchvision:{name}"), (3, side, side))

    model = fresh()
    left = analyse(model, x[:1]).left_alone
    layers = sum(isinstance(module, WEIGHTED) for module in model.modules())
    assert 1 - len(left) / layers >= share - 0.02, left
    whole = sum(parameter.numel() for parameter in model.parameters())
    for pruning in (
        ChannelPruning(pruning_ratio=0.5, scope="uniform"),
        ChannelPruning(pruning_ratio=0.5, importance="random"),
    ):
        model = fresh()
        ChannelPruner(pruning, seed=0).step(1, model, x, torch.arange(2))
        train(model, x)
        assert sum(parameter.numel() for parameter in model.parameters()) < 0.9 * whole
        again = load_compressed(fresh(), load(pack_model(model)))
        with torch.no_grad():
            scores = model.eval()(x)
            assert bool(scores.isfinite().all())
            assert torch.equal(again.eval()(x), scores)
