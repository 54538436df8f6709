"""Writes a study as commented YAML."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml
from jinja2 import Environment, StrictUndefined

from search.drafting.sizes import Size
from trainables.attacks.config import Norm
from trainables.data.config import Data

SHORTEST = 0.2  # epochs of the shortest proposal, as a share of the reference's
ORDINARY = 1 / 3  # epochs of ordinary training, as a share of the reference's adversarial ones
WIDER = 1.2  # largest epsilon to train with, as a share of the threat model's …
MOST_EPSILON: Mapping[Norm, float] = {"linf": 0.5, "l2": math.inf}  # … but not more than a study may say
BATCH = 128
SHORT = 6  # characters of a radius that stays a decimal number
FEW_IMAGES = 5000  # training images below which batches are half as large, so that an epoch has steps enough


@dataclass(frozen=True)
class Contents:
    """What a drafted study says.

    Attributes:
        name: name of the study.
        data: its data.
        model: its network.
        pretrained: file of trained weights; None: an ordinary base is trained.
        norm: norm of the threat model.
        epsilon: its radius.
        pruned: whether the network has channels that can be removed.
        most_pruned: largest share of channels to remove.
        has_attention: whether the network is of the kind that AdamW suits better than SGD.
        gpu: whether trials use GPUs.
        available: number of training images.
        size: how much is done.
        hours: hours that the search may take.
        notes: what was found, for the comment at the top.
    """

    name: str
    data: Data
    model: str
    pretrained: str | None
    norm: Norm
    epsilon: float
    pruned: bool
    most_pruned: float
    has_attention: bool
    gpu: bool
    available: int
    size: Size
    hours: float
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Return the study as YAML."""
        environment = Environment(
            autoescape=False,  # YAML, not a page
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined=StrictUndefined,
        )
        environment.filters["quoted"] = _quoted
        environment.filters["radius"] = _radius
        template = environment.from_string((files("search.drafting") / "study.yaml.j2").read_text(encoding="utf-8"))
        used = self.size.images(self.available)
        epochs = self.size.epochs
        batch = BATCH // 2 if (used or self.available) < FEW_IMAGES else BATCH
        return template.render(
            study=self,
            train_size=used,
            epochs=epochs,
            short=max(1, round(epochs / 2)),
            ordinary=max(1, round(epochs * ORDINARY)),
            fewest=max(1, round(epochs * SHORTEST)),
            batch=batch,
            batches=f"batch_size: {batch}" + (", optimizer: adamw" if self.has_attention else ""),
            fast={"linf": "n_fgsm", "l2": "pgd"}[self.norm],
            most_epsilon=min(WIDER * self.epsilon, MOST_EPSILON[self.norm]),
            rate=0.001 if self.has_attention else 0.1,
        )


def _radius(epsilon: float) -> str:
    """Return a radius as the field writes it: 8/255 where it is so many steps of a byte, but 0.2, which is short."""
    steps = round(255 * epsilon)
    return f"{steps}/255" if epsilon == steps / 255 and len(str(epsilon)) > SHORT else str(epsilon)


def _quoted(text: str) -> str:
    """Return text in quotes, as any reader of YAML takes it back."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).rstrip("\n")
