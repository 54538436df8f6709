"""Tries the smallest model of each of torchvision's families; `make networks` writes the table of docs/networks.md.

Each is built with random weights for ten classes at the least size of images that it takes, counted on shapes, pruned
to half of its channels, quantized to 8 bits, rebuilt from its tensors to equal scores, written as ONNX to equal scores,
and attacked by one step. A row is made in a minute or less, but that of maxvit_t in several; all take about a quarter
of an hour on two cores.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.attack import perturb
from trainables.attacks.pgd import PgdAttack
from trainables.compression.compressor import Compressors
from trainables.compression.config import ChannelPruning, Quantization
from trainables.compute.flops import forward_flops, measure
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel
from trainables.errors import InvalidInput
from trainables.models.build import build, frozen
from trainables.models.config import Network
from trainables.network_check.compressed import left_as_is

LEAST = {  # the smallest model of each family, and the least width and height of images that it takes
    "alexnet": 63,
    "vgg11": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "wide_resnet50_2": 32,
    "squeezenet1_1": 32,
    "densenet121": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "shufflenet_v2_x0_5": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "convnext_tiny": 32,
    "vit_b_32": 224,
    "swin_t": 32,
    "swin_v2_t": 32,
    "maxvit_t": 224,
}
STEPS = ("count", "prune 50%", "train", "W8A8", "reload", "ONNX", "attack")
HALF, BYTES = ChannelPruning(pruning_ratio=0.5), Quantization(calibration_examples=2)
APART = 0.1  # of the largest score, by which scores of a file may differ: values next to a step round either way
PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
INTRODUCTION = """# Networks of torchvision, tried
The smallest model of each family with random weights, at the least size of images that it takes: counted (MACs of one
image), pruned to half of its channels by L1 over all layers (share of MACs left), trained for a step, quantized to 8
bits, rebuilt from its tensors to equal scores, written as ONNX to equal scores (within .1 of the largest, since it is
rounded), attacked by one step. y: done; –: refused, and why below, where layers that pruning leaves are listed too.
`make networks` writes this page.

swin_t keeps 95% at 32 pixels, since its windows of 7 × 7 pixels are filled up and attention in them outweighs the MLPs,
whose channels are what is removed; at 224 pixels 69% are left of 4,490 M.

"""


class Trial:
    """One network on its way through the steps; each uses what the ones before it made."""

    def __init__(self, name: str, size: int) -> None:
        self.network, self.shape = Network(name=f"torchvision:{name}"), (3, size, size)
        torch.manual_seed(0)
        self.x, self.y = torch.rand(2, *self.shape), torch.tensor([0, 1])
        self.model = build(self.network, self.shape)
        self.dense = forward_flops(self.model, self.x)
        self.compressors = Compressors([HALF], seed=0)
        self.left: list[str] = []  # what pruning says of the layers that it leaves as they are

    def count(self) -> str:
        return f"{measure(self.model, self.x).forward / 2e6:,.0f} M"

    def prune(self) -> str:
        pruner = Compressors([HALF], seed=0)
        pruner.step(1, self.model, self.x, self.y)
        self.left = [finding.text for finding in left_as_is(pruner)]
        return f"y ({forward_flops(self.model, self.x) / self.dense:.0%})"

    def train(self) -> str:
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.001)
        loss = cross_entropy(self.model.train()(self.x), self.y)
        torch.autograd.backward(loss)
        # Gradients of a deep network that BatchNorm has two images of may be a million times too long.
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()
        self.model.zero_grad(set_to_none=True)
        return "y"

    def quantize(self) -> str:
        Compressors([BYTES], seed=0).step(1, self.model, self.x, self.y)
        self.compressors = Compressors([HALF, BYTES], seed=0)
        return "y"

    def reload(self) -> str:
        state = {name: value.clone() for name, value in self.model.state_dict().items()}
        again = self.compressors.load(build(self.network, self.shape), state)
        assert torch.equal(scores(again, self.x), scores(self.model, self.x)), "other scores"
        return "y"

    def export(self) -> str:
        wanted = scores(self.model, self.x)
        found = OnnxModel(to_onnx(self.model, self.shape, self.compressors), threads=1, integer=False)
        for count in (1, 2):
            given = torch.from_numpy(found.scores(self.x[:count].numpy()))
            apart = float((given - wanted[:count]).abs().max() / wanted.abs().max())
            assert apart <= APART, f"scores of the file are {apart:.2f} of the largest apart"
        return "y"

    def attack(self) -> str:
        attack = PgdAttack(epsilon=0.1, steps=1)
        found = perturb(attack, self.model, self.x, self.y, Generator().manual_seed(0))
        assert (found != self.x).any()
        return "y"


def scores(model: nn.Module, x: Tensor) -> Tensor:
    with frozen(model), torch.no_grad():
        given: Tensor = model(x)
    return given


def row(name: str, size: int) -> tuple[list[str], list[str]]:
    """Returns the cells of a network's row, and what is said below: what was left or refused or failed, and why."""
    trial, cells, reasons = Trial(name, size), [], []
    steps: list[Callable[[], str]] = [
        trial.count, trial.prune, trial.train, trial.quantize, trial.reload, trial.export, trial.attack
    ]  # fmt: skip
    for step, title in zip(steps, STEPS, strict=True):
        try:
            cells.append(step())
        except InvalidInput as error:
            cells.append("–")
            reasons.append(f"{name}, {title}: {error}")
        except Exception as error:  # a defect of Temper's, which the table must show
            cells.append("**fails**")
            reasons.append(f"{name}, {title}: {type(error).__name__}: {error}".splitlines()[0])
    return cells, [*(f"{name}, {STEPS[1]}: {text}" for text in trial.left), *reasons]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="networks to try; without any, all, and the page is written")
    names = parser.parse_args().names
    lines, reasons = [f"| network | pixels | {' | '.join(STEPS)} |", "|---" * (2 + len(STEPS)) + "|"], []
    for name in names or LEAST:
        started = time.perf_counter()
        cells, told = row(name, LEAST[name])
        lines.append(f"| {name} | {LEAST[name]} | {' | '.join(cells)} |")
        reasons += told
        print(f"{lines[-1]}  {time.perf_counter() - started:.1f} s", flush=True)
    print("\n".join(reasons))
    if not names:
        PAGE.write_text(INTRODUCTION + "\n".join([*lines, "", *(f"- {one}" for one in reasons)]).rstrip() + "\n")


if __name__ == "__main__":
    main()
