"""Defines the recipe, which holds everything that determines one trained model, as frozen data with a stable id."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Optional, Self

from pydantic import Field, model_validator

from trainables.attacks.config import NoPerturbation, Perturbation
from trainables.compression.config import Compression, NoCompression, Quantization
from trainables.config import Frozen
from trainables.data.config import Data
from trainables.losses.config import CrossEntropy, Loss, SoftTerm
from trainables.models.config import Network, Weights
from trainables.recipe.compatibility import unfit, unreached
from trainables.recipe.released_fields import identifying_fields
from trainables.recipe.schedule import Augmentation, Loop, OrdinaryLoop, Precision, Schedule


class Distillation(SoftTerm):
    """Distillation from the soft labels of another recipe's network; see `trainables.losses.distillation`.

    Attributes:
        teacher: the recipe whose network makes the soft labels; None: the student's base.
    """

    teacher: Optional["Recipe"] = None


class Recipe(Frozen):
    """Everything that determines one trained model.

    Attributes:
        data: the images that it is trained and scored on.
        model: the architecture before compression.
        base: the recipe whose weights it starts from; None: it starts from scratch, or from `weights`.
        weights: a file of weights to start from. What they took to train is not known, and is counted as nothing.
        compression: how the network is made smaller before and during training.
        quantization: how weights and activations are rounded during training; None: they are not.
        perturbation: the attack that training perturbs images with.
        loss: what training minimises.
        loop: how training goes through the batches.
        distillation: the teacher whose soft labels it learns from beside the labels; None: it learns from labels alone.
        augmentation: random changes to the training images.
        schedule: epochs, optimizer and learning rate.
        keep: the epoch whose weights are the result: the last, or the best by the progress score on validation images
            (the checkpoint holds both).
        precision: number format of training's passes, those of its attack included (`trainables.training.precision`);
            scores are computed in float32.
        seed: seed of the initial weights, of the order of the images and of everything else that training draws.
    """

    data: Data
    model: Network
    base: Optional["Recipe"] = None
    weights: Weights | None = None
    compression: Compression = NoCompression()
    quantization: Quantization | None = None
    perturbation: Perturbation = NoPerturbation()
    loss: Loss = CrossEntropy()
    loop: Loop = OrdinaryLoop()
    distillation: Distillation | None = None
    augmentation: Augmentation = Augmentation()
    schedule: Schedule
    keep: Literal["last", "best"] = "last"
    precision: Precision = "float32"
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = unfit(self.perturbation, self.loss, self.loop, self.distillation)
        problems += unreached(self.compression, self.schedule)
        if self.weights is not None and self.base is not None:
            problems.append("weights: got a file and a base, expected one of them")
        if self.schedule.epochs == 0 and self.weights is None and self.base is None:
            problems.append("schedule.epochs: got 0 without base or weights, expected at least 1")
        if self.quantization is not None and self.precision != "float32":
            problems.append(f"precision: got {self.precision} with quantization, expected float32")
        if self.distillation is not None:
            problems += self._unfit_distillation()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unfit_distillation(self) -> list[str]:
        problems, teacher = [], self.separate_teacher
        if self.schedule.epochs == 0:
            problems.append("schedule.epochs: got 0 with distillation, expected at least 1")
        if teacher is None and self.base is None:
            problems.append("distillation.teacher: got null without a base, expected a recipe")
        if teacher is not None and teacher == self.base:  # else one training would have two ids
            problems.append("distillation.teacher: got the recipe's own base, expected null, which stands for it")
        if self.teacher is not None and self.teacher.data != self.data:
            problems.append("distillation.teacher.data: got other data than the recipe's, expected the same images")
        return problems

    @cached_property
    def id(self) -> str:
        """The recipe's id: 16 hex digits of the SHA-256 of its canonical JSON, see `released_fields`.

        It is kept, since a search asks for it about nine times a trial, which took half of the time of a decision.
        """
        canonical = json.dumps(identifying_fields(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def known_as(self, recorded: str) -> Self:
        """Returns this recipe with an id that a record has for it, so that it is not computed anew.

        The caller checks that the record's recipe is as it was. To compute an id takes a tenth of a millisecond.
        """
        self.__dict__["id"] = recorded
        return self

    @cached_property
    def _kept_hash(self) -> int:
        return hash(tuple(self.__dict__[name] for name in type(self).model_fields))

    def __hash__(self) -> int:
        """Returns the hash of its fields. It is kept: a sampler looks each of its candidates up nine times."""
        return self._kept_hash

    def __getstate__(self) -> dict[Any, Any]:
        """Leaves the hash out of what is pickled, since it is another one in another process."""
        state = super().__getstate__()
        kept = {name: value for name, value in state["__dict__"].items() if name != "_kept_hash"}
        return state | {"__dict__": kept}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Returns a copy with some fields replaced, which has an id of its own."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("id", "_kept_hash"):
            copied.__dict__.pop(name, None)
        return copied

    @property
    def teacher(self) -> Optional["Recipe"]:
        """The recipe whose soft labels it learns from; None where it is not distilled."""
        if self.distillation is None:
            return None
        return self.distillation.teacher or self.base

    @property
    def separate_teacher(self) -> Optional["Recipe"]:
        """The teacher where it is another recipe than the base, else None."""
        return None if self.distillation is None else self.distillation.teacher

    @property
    def methods(self) -> tuple[Compression | Quantization, ...]:
        """The methods that compress its network, in order.

        Each method begins in the epoch in which the one before it takes its last step.
        """
        return (self.compression,) if self.quantization is None else (self.compression, self.quantization)

    @property
    def compressed_from(self) -> int:
        """The first epoch, counted from 1, that trains the network in its final, fully compressed form."""
        return 1 + sum(method.steps - 1 for method in self.methods)

    @property
    def is_ordinary_pretraining(self) -> bool:
        """Whether it is trained without attack, compression and teacher, and so are all bases before it."""
        compressed = self.compression.method != "none" or self.quantization is not None
        own = not compressed and not self.perturbation.adversarial and self.distillation is None
        return own and (self.base is None or self.base.is_ordinary_pretraining)
