"""A recipe: everything that determines one trained model, as frozen data with a stable identity."""

import hashlib
import json
from typing import Annotated, Literal, Optional, Self

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
    """Learning from the soft labels of another recipe's network; see `trainables.losses.distillation`.

    Attributes:
        teacher: that recipe; None: the one that the student starts from.
    """

    teacher: Optional["Recipe"] = None


class Recipe(Frozen):
    """Everything that determines one trained model.

    Attributes:
        base: the recipe whose weights it starts from; None: from scratch, or from `weights`.
        distillation: whose soft labels it learns from beside the labels; None: the labels alone.
        weights: a file to start from. What it took to train is not known, and counts as nothing.
        keep: which epoch's weights are the result: the last, or the best by the progress score on validation images
            (both stay in the checkpoint).
        precision: of the passes of training, its attack included (`trainables.training.precision`); scores are in
            float32.
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
        if teacher is not None and teacher == self.base:  # one recipe, one id
            problems.append("distillation.teacher: got the recipe's own base, expected null, which stands for it")
        if self.teacher is not None and self.teacher.data != self.data:
            problems.append("distillation.teacher.data: got other data than the recipe's, expected the same images")
        return problems

    @property
    def id(self) -> str:
        """The recipe's identity: 16 hex digits of the SHA-256 of its canonical JSON, see `released_fields`."""
        canonical = json.dumps(identifying_fields(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def teacher(self) -> Optional["Recipe"]:
        """Whose soft labels it learns from, if it is distilled."""
        if self.distillation is None:
            return None
        return self.distillation.teacher or self.base

    @property
    def separate_teacher(self) -> Optional["Recipe"]:
        """The teacher, where it is another recipe than the base."""
        return None if self.distillation is None else self.distillation.teacher

    @property
    def methods(self) -> tuple[Compression | Quantization, ...]:
        """How its network is compressed, in order: each method begins where the one before takes its last step."""
        return (self.compression,) if self.quantization is None else (self.compression, self.quantization)

    @property
    def compressed_from(self) -> int:
        """The first epoch, counted from 1, of the network compressed as far as the recipe says."""
        return 1 + sum(method.steps - 1 for method in self.methods)

    @property
    def is_ordinary_pretraining(self) -> bool:
        """TrainedModel without attack, without compression and without a teacher, itself and all it starts from."""
        compressed = self.compression.method != "none" or self.quantization is not None
        own = not compressed and not self.perturbation.adversarial and self.distillation is None
        return own and (self.base is None or self.base.is_ordinary_pretraining)
