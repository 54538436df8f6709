"""Defines what is checked: a study's network, and what the study will do with it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trainables.attacks.config import Perturbation
from trainables.compression.config import Compression, Quantization
from trainables.models.build import Pixels, build
from trainables.models.config import Network, Weights
from trainables.models.weights import load_weights
from trainables.network_check.error_words import in_words
from trainables.recipe.recipe import Recipe

FILL = 0.02  # standard deviation of the numbers that replace layers of zeros


@dataclass(frozen=True)
class Form:
    """A compressed form of the network that a study can come to.

    Attributes:
        where: the study's key that asks for it.
        methods: the methods that make it, in order.
    """

    where: str
    methods: tuple[Compression | Quantization, ...]

    def words(self) -> str:
        """Describes the form in a few words."""
        return " and ".join(method.words() for method in self.methods)


@dataclass(frozen=True)
class Subject:
    """A study's network, and what the study will do with it.

    Attributes:
        network: the architecture.
        weights: the user's file of weights that it starts from; None: it is newly initialised.
        pixels: means and deviations of the pixels by channel.
        x: a few training images (n, channels, height, width) on the CPU, at least two.
        y: their labels (n,).
        classes: number of classes.
        seed: seed of the initial weights.
        forms: compressed forms to check.
        attacks: attacks to check, by the study's key.
        recipes: recipes to train for one batch, by what the study calls them.
        leftover: says which batches of training have one image; empty: none has.
    """

    network: Network
    weights: Weights | None
    pixels: Pixels
    x: Tensor
    y: Tensor
    classes: int
    seed: int
    forms: tuple[Form, ...]
    attacks: Mapping[str, Perturbation]
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    leftover: str = ""
    _built: dict[int, nn.Module] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The key and the name of the network, for messages."""
        return f"model.name: {self.network.name}"

    def build(self, seed: int) -> nn.Module:
        """Returns a new network whose initial weights are drawn by a seed; it is built once, and copied afterwards.

        Parameters that are zeros altogether, as some networks begin with, are drawn at random, because zeros would hide
        what lies behind them: no gradient passes a layer of zeros.

        Raises:
            InvalidInput: the network cannot be built, does not fit the images or the file of weights, or cannot be
                copied.
        """
        if seed not in self._built:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                shape = tuple(self.x.shape[1:])
                with in_words(
                    f"{self.name}: cannot be built", f"it is called with image_shape={shape}, classes={self.classes}"
                ):
                    model = build(self.network, shape, classes=self.classes, pixels=self.pixels)
                if self.weights is not None:
                    load_weights(model, self.weights)
                for parameter in model.parameters():
                    if parameter.is_floating_point() and not bool(parameter.any()):
                        nn.init.normal_(parameter, std=FILL)
            self._built[seed] = model
        with in_words(
            f"{self.name}: cannot be copied, which averaging, export and pruning need",
            "expected modules that copy.deepcopy copies: no locks, open files, generators or tensors with a history",
        ):
            return copy.deepcopy(self._built[seed])
