"""Defines the protocol of a compression method, and applies the methods of one recipe in order.

A method is a configuration in `trainables.compression.config` and a class that follows `Compressor`. The code that
trains, saves, rebuilds, counts or exports a network uses `Compressors`, and knows no method by name.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from trainables.compression.config import Compression, Quantization
from trainables.compression.weight_layers import Layer
from trainables.compute.counter import FlopCounter
from trainables.models.build import to_channels_last
from trainables.models.weights import load_compressed

FLOAT = 32  # bits of a number that is not quantized


@runtime_checkable
class Compressor(Protocol):
    """Compressor that applies one compression method to one network.

    A method subclasses this and writes `step`. The other functions suit a method that only makes layers narrower or
    overwrites their values: it adds no modules, and its numbers stay floats. Another method overrides them as needed.
    """

    @abstractmethod
    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Compresses a network in place before an epoch of training; the caller counts the FLOPs of its passes.

        The first step must note all that later steps need beside the weights. After a restart the first step is taken
        again on the same network, and then training continues from the weights of a later step.

        Args:
            number: number of the step, from 1 to the configuration's `steps`.
            model: the network: in the first step as built or with its base's weights, later as trained since. It may be
                in any mode, and is left in that mode. New layers may lie on any device; the caller moves them.
            x: all training images (n, channels, height, width), on the network's device.
            y: their labels (n,).
        """

    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Gives a network the modules that it has after a step, so that saved weights can be loaded; needs no data.

        Args:
            model: the network in its form before the first step, on the CPU, in any mode; it is changed in place.
            state: a state_dict of the network after any step, from which sizes are read. The caller loads its values
                afterwards, and also makes layers narrower or wider as they are there.
        """
        return

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns a state_dict in the names of the network before the first step, for recipes that have it as base.

        They load it into a newly built network, whose layers become as narrow as these tensors.

        Args:
            state: a state_dict of the network after any step.
        """
        return dict(state)

    def bits(self, layer: nn.Module) -> tuple[int, int]:
        """Returns the bits, 1 to 32, of the weights of a layer and of its input; 32: floats.

        Args:
            layer: a layer of `trainables.compression.weight_layers.weighted_layers`; parts of it are not asked about.
        """
        return FLOAT, FLOAT

    def left_as_is(self) -> Mapping[str, str]:
        """Returns what the last step left as it was although the method is for such layers: name to reason.

        A reason completes "it is left as it is: ". Layers that make the scores are not told, since no method that makes
        layers narrower can change them.
        """
        return {}

    def deploy(self, model: nn.Module) -> None:
        """Replaces the method's modules, in place, by ones that ONNX has operators for.

        Modules that PyTorch's tracing can export need not be replaced. The model is a copy, and the original must still
        work afterwards: `torch.nn.utils.parametrize.remove_parametrizations` would break it (torch 2.14.1), because a
        copy shares the class of the original.

        Args:
            model: a copy of the trained network, in eval mode, on the CPU.
        """
        return


class Compressors:
    """The compression methods of one recipe, in order; each begins in the epoch of the last step of the one before."""

    def __init__(self, methods: Sequence[Compression | Quantization], *, seed: int) -> None:
        """Makes the compressor of each method; the modules of the methods are imported here.

        Args:
            methods: the configurations in order, `Recipe.methods`.
            seed: seed of all that a method draws.

        Raises:
            InvalidInput: the user's method cannot be imported or made.
        """
        self._parts: list[tuple[int, int, Compressor]] = []  # epoch of the first step, of the last step, compressor
        first = 1
        for config in methods:
            if config.implementation is not None:
                self._parts.append((first, first + config.steps - 1, compressor_of(config, seed=seed)))
                first += config.steps - 1

    def step(self, epoch: int, model: nn.Module, x: Tensor, y: Tensor) -> float:
        """Takes every step that is due before an epoch, counted from 1; arguments otherwise as in `Compressor.step`.

        New layers are then moved to the device and the memory layout of the others, as in a rebuilt network.

        Returns:
            FLOPs of the passes through the network that the steps made.
        """
        with FlopCounter() as counter:
            for first, last, compressor in self._parts:
                if first <= epoch <= last:
                    compressor.step(epoch - first + 1, model, x, y)
                    to_channels_last(model.to(x.device))
        return counter.flops

    def load(self, model: nn.Module, state: Mapping[str, Tensor], *, epochs: int | None = None) -> nn.Module:
        """Gives a newly built network the form and the weights of a saved one.

        Args:
            model: the network; it is changed in place and returned.
            state: the saved state_dict.
            epochs: number of epochs that had begun when it was saved; None: all of the recipe's.
        """
        return _load(model, self._begun(epochs), state)

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns a finished recipe's state_dict in the names of a newly built network, for recipes with it as base."""
        for compressor in reversed(self._begun(None)):
            state = compressor.plain(state)
        return dict(state)

    def bits(self, layer: nn.Module) -> tuple[int, int]:
        """Returns the bits of a layer's weights and of its input, each the fewest that any method gives."""
        told = [compressor.bits(layer) for _, _, compressor in self._parts]
        return min([FLOAT, *(weight for weight, _ in told)]), min([FLOAT, *(inputs for _, inputs in told)])

    def left_as_is(self) -> dict[str, str]:
        """Returns what the methods left as it was in their last steps: name of a layer or tensor to the reason."""
        return {name: reason for _, _, compressor in self._parts for name, reason in compressor.left_as_is().items()}

    def deploy(self, model: nn.Module) -> None:
        """Calls `Compressor.deploy` of every method, from the last to the first."""
        for _, _, compressor in reversed(self._parts):
            compressor.deploy(model)

    def _begun(self, epochs: int | None) -> list[Compressor]:
        return [compressor for first, _, compressor in self._parts if epochs is None or first <= epochs]


def compressor_of(config: Compression | Quantization, *, seed: int) -> Compressor:
    """Makes the compressor of a method that has one. Raises InvalidInput if the user's own cannot be made."""
    assert config.implementation is not None
    module, _, name = config.implementation.partition(":")
    return cast(Compressor, getattr(import_module(module), name)(config, seed=seed))


def _load(model: nn.Module, compressors: Sequence[Compressor], state: Mapping[str, Tensor]) -> nn.Module:
    """Loads weights after these compressors, in order, have given the network the form that the weights need."""
    if compressors:
        *before, last = compressors
        last.attach(_load(model, before, last.plain(state)), state)
    return load_compressed(model, state)


def layers_of(model: nn.Module) -> dict[str, Layer]:
    """Returns the convolutions, transposed or not, and the linear layers, by name in the order of definition.

    Each has one `weight`. `weighted_layers` has attention and embeddings too.
    """
    return {name: module for name, module in model.named_modules() if isinstance(module, Layer)}
