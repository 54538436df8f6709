"""The protocol of a compression method, and the methods of one recipe in their order.

A method is a configuration in `trainables.compression.config` and a class of its own that follows `Compressor`. Whoever
trains, saves, rebuilds, counts or exports a network asks `Compressors`, and knows no method by name.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from trainables.compression.config import Compression, Quantization
from trainables.models.build import load_compressed

FLOAT = 32  # bits of what is not quantized


@runtime_checkable
class Compressor(Protocol):
    """One compression method at work on one network.

    All but `step` is written here for methods that only make layers narrower or overwrite their values: nothing to
    attach, nothing to take off, floats throughout. A method that subclasses this says what it does otherwise.
    """

    @abstractmethod
    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Compress a network in place, before an epoch of training; the caller counts the FLOPs of its passes.

        What later steps must know beyond the weights is noted in the first one: after a restart the first step is taken
        again, on the same network, and then training goes on from the weights of a later one.

        Args:
            number: of the step, from 1 to the configuration's `steps`.
            model: the network, as built or with its base's weights, and from the second step on as trained since; in
                any mode, which is kept. New layers may be anywhere: they are moved to its device afterwards.
            x: all training images (n, channels, height, width), on the network's device.
            y: their labels (n,).
        """

    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Give a network the form that any of the steps leaves, in place and without data: what weights need to load.

        Args:
            model: of the form before the first step, on the CPU, in any mode.
            state: a state_dict of it in the form after a step, from which sizes are read. Its values are loaded by the
                caller afterwards; layers that are only narrower, or wider, need not be touched.
        """
        return

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state_dict in the names of the network before the first step, for recipes that start from this one's.

        They load it into a network as it was built, whose layers become as narrow as these tensors are.

        Args:
            state: as it is after any of the steps.
        """
        return dict(state)

    def bits(self, layer: nn.Module) -> tuple[int, int]:
        """Bits, from 1 to 32, of a convolution's or linear layer's weights and of its input; 32: floats."""
        return FLOAT, FLOAT

    def deploy(self, model: nn.Module) -> None:
        """Replace modules of the method's own, in place, by ones that ONNX has operators for; traced ones need not be.

        The network that this is a copy of must go on to work: `torch.nn.utils.parametrize.remove_parametrizations`
        takes the parametrization from both (torch 2.14.1), because a copy shares its class.

        Args:
            model: the trained network, in eval mode, on the CPU; a copy.
        """
        return


class Compressors:
    """The compression methods of one recipe, in order: each begins where the one before takes its last step."""

    def __init__(self, methods: Sequence[Compression | Quantization], *, seed: int) -> None:
        """Make the compressor of each method; the modules that they lie in are imported now.

        Args:
            methods: configurations in order: `Recipe.methods`.
            seed: of what a method draws.

        Raises:
            InvalidInput: a user's own method cannot be had.
        """
        self._parts: list[tuple[int, int, Compressor]] = []  # the epochs of the first and the last step
        first = 1
        for config in methods:
            if config.implementation is not None:
                self._parts.append((first, first + config.steps - 1, compressor_of(config, seed=seed)))
                first += config.steps - 1

    def step(self, epoch: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Take every step that is due before an epoch, counted from 1; the rest as for `Compressor.step`.

        New layers are moved to the device and the memory layout of all others, in which a rebuilt network has them too.
        """
        for first, last, compressor in self._parts:
            if first <= epoch <= last:
                compressor.step(epoch - first + 1, model, x, y)
                model.to(x.device).to(memory_format=torch.channels_last)

    def load(self, model: nn.Module, state: Mapping[str, Tensor], *, epochs: int | None = None) -> nn.Module:
        """Give a network, as it was built, the form and the weights of a saved one.

        Args:
            model: changed in place and returned.
            state: the saved state_dict.
            epochs: that had begun when it was saved; None: all of the recipe's.
        """
        return _load(model, self._begun(epochs), state)

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A finished recipe's state_dict in the names of the network as it was built, for whoever starts from it."""
        for compressor in reversed(self._begun(None)):
            state = compressor.plain(state)
        return dict(state)

    def bits(self, layer: nn.Module) -> tuple[int, int]:
        """Bits of a layer's weights and of its input: the fewest that a method says."""
        told = [compressor.bits(layer) for _, _, compressor in self._parts]
        return min([FLOAT, *(weight for weight, _ in told)]), min([FLOAT, *(inputs for _, inputs in told)])

    def deploy(self, model: nn.Module) -> None:
        """As `Compressor.deploy`, from the method that came last to the first."""
        for _, _, compressor in reversed(self._parts):
            compressor.deploy(model)

    def _begun(self, epochs: int | None) -> list[Compressor]:
        return [compressor for first, _, compressor in self._parts if epochs is None or first <= epochs]


def compressor_of(config: Compression | Quantization, *, seed: int) -> Compressor:
    """The compressor of a method that has one. Raises InvalidInput if a user's own cannot be had."""
    assert config.implementation is not None
    module, _, name = config.implementation.partition(":")
    return cast(Compressor, getattr(import_module(module), name)(config, seed=seed))


def _load(model: nn.Module, compressors: Sequence[Compressor], state: Mapping[str, Tensor]) -> nn.Module:
    """Load weights in the form that these compressors leave, one after the other."""
    if compressors:
        *before, last = compressors
        last.attach(_load(model, before, last.plain(state)), state)
    return load_compressed(model, state)


def layers_of(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers that bits are of, convolutions and linear ones, by name, in the order of definition."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
