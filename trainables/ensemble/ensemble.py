"""Runs one attack after the other on the images that still stand: the worst case of all counts, image by image."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.attacks.attack import Attack, perturb, wrong
from trainables.attacks.gradients import GradientCounter
from trainables.attacks.scoring_attack import ScoringAttack
from trainables.ensemble.apgd import ApgdAttack, TargetedApgdAttack
from trainables.ensemble.fab import FabAttack
from trainables.ensemble.restarts import Directions, RestartedAttack
from trainables.ensemble.square import SquareAttack
from trainables.ensemble.transfer import TransferAttack
from trainables.evaluation.config import Strength, ThreatModel
from trainables.models.build import frozen

STANDS, MISTAKEN = -1, 0  # in `Attacked.broken_by`: broken by no attack, and wrong without one
DIRECTIONS = 300  # shifts that are remembered for restarts
TRANSFER_STEPS = 40


@dataclass(frozen=True)
class Turn:
    """One attack of an ensemble.

    Attributes:
        name: its name, for tables.
        attack: makes it of norm, epsilon and the settings.
        settings: what else it is made of.
        white_box: whether it follows gradients.
    """

    name: str
    attack: Callable[..., Attack]
    settings: Mapping[str, Any] = field(default_factory=dict)
    white_box: bool = True

    def make(self, threat_model: ThreatModel, directions: Directions) -> Attack:
        """Makes the attack; one that begins at directions found so far is given them."""
        further = {"directions": directions} if self.attack is RestartedAttack else {}
        return self.attack(norm=threat_model.norm, epsilon=threat_model.epsilon, **self.settings, **further)


# Cheapest first, so that few images are left to the dear ones. How long each attack of the standard one goes on was
# chosen on networks that AutoAttack has attacked too: those that follow gradients break more in the same time than
# Square, which is there to notice hidden gradients. The full one has all of AutoAttack's ensemble (arXiv 2003.01690).
SCORING = Turn("PGD on two losses", ScoringAttack, {"steps": 20})
ENSEMBLES: Mapping[Strength, tuple[Turn, ...]] = MappingProxyType(
    {
        "quick": (SCORING, Turn("APGD-T", TargetedApgdAttack, {"targets": 3, "steps": 20})),
        "standard": (
            SCORING,
            Turn("APGD-T", TargetedApgdAttack, {"targets": 9, "steps": 30}),
            Turn("APGD-CE", ApgdAttack, {"steps": 100}),
            Turn("restarts", RestartedAttack, {"tried": 20, "steps": 100}),
            Turn("restarts", RestartedAttack, {"tried": 20, "steps": 50}),
            Turn("restarts", RestartedAttack, {"tried": 40, "steps": 100}),
            Turn("FAB-T", FabAttack, {"targets": 2, "steps": 20}),
            Turn("Square", SquareAttack, {"queries": 200}, white_box=False),
        ),
        "full": (
            SCORING,
            Turn("APGD-CE", ApgdAttack, {"steps": 100}),
            Turn("APGD-T", TargetedApgdAttack, {"targets": 9, "steps": 100}),
            Turn("restarts", RestartedAttack, {"tried": 20, "steps": 100}),
            Turn("FAB-T", FabAttack, {"targets": 9, "steps": 100}),
            Turn("Square", SquareAttack, {"queries": 5000}, white_box=False),
        ),
    }
)


# For networks without gradients, such as a deployed file.
BLACK_BOX: Mapping[Strength, tuple[Turn, ...]] = MappingProxyType(
    {
        "quick": (Turn("Square", SquareAttack, {"queries": 500}, white_box=False),),
        "standard": (Turn("Square", SquareAttack, {"queries": 5000}, white_box=False),),
        "full": (Turn("Square", SquareAttack, {"queries": 20_000}, white_box=False),),
    }
)


def transfer(source: nn.Module) -> Turn:
    """Returns the attack that tries examples which were made for another network on the same device."""
    return Turn("transfer", TransferAttack, {"source": source, "steps": TRANSFER_STEPS}, white_box=False)


def passes_at_most(turns: Sequence[Turn], threat_model: ThreatModel) -> int:
    """Returns how many passes attacks make of an image that stands to the last, with or without a gradient."""
    nothing = Directions(torch.empty(0, 1, 1, 1), torch.empty(0, dtype=torch.long))
    return sum(int(turn.make(threat_model, nothing).passes) for turn in turns)


@dataclass(frozen=True)
class Progress:
    """How far an ensemble is.

    Attributes:
        turn: name of the attack that runs.
        number: its number, from 1.
        turns: number of attacks.
        done: images that it has attacked.
        standing: images that it was given.
    """

    turn: str
    number: int
    turns: int
    done: int
    standing: int


@dataclass(frozen=True)
class TurnResult:
    """What one attack of an ensemble did.

    Attributes:
        name: its name.
        white_box: whether it follows gradients.
        given: images that still stood.
        broken: how many of them it broke.
        passes: passes of single images, with or without a gradient.
        seconds: time that it took, s.
        gradients, zero_gradients, nonfinite_gradients: gradients that it followed, and how many of them told nothing.
    """

    name: str
    white_box: bool
    given: int
    broken: int
    passes: int
    seconds: float
    gradients: int
    zero_gradients: int
    nonfinite_gradients: int


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an ensemble made of a network.

    Attributes:
        turns: what each attack did, in their order.
        broken_by: (n,) number of the attack that broke an image, from 1; `MISTAKEN`, `STANDS`.
        adversarial: (n, channels, height, width) the images as they were broken, the others as they are.
    """

    turns: tuple[TurnResult, ...]
    broken_by: NDArray[np.int8]
    adversarial: Tensor

    @property
    def clean(self) -> NDArray[np.bool_]:
        """(n,) whether an image is labelled right without an attack."""
        return np.asarray(self.broken_by != MISTAKEN)

    @property
    def stands(self) -> NDArray[np.bool_]:
        """(n,) whether an image is labelled right, and was broken by no attack."""
        return np.asarray(self.broken_by == STANDS)


def run_turns(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat_model: ThreatModel,
    turns: Sequence[Turn],
    *,
    batch_size: int = 256,
    seed: int = 0,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Attacked:
    """Runs attacks, each on the images that those before it have left.

    Whatever an attack returns is checked: that it lies in the ball and in [0, 1], and that the network is wrong there.

    Args:
        model: any classifier of images in [0, 1]; its mode and buffers are left as they were.
        images: (n, channels, height, width) in [0, 1].
        labels: their labels (n,), on the same device.
        threat_model: norm and epsilon.
        turns: the attacks, in their order.
        batch_size: images per pass.
        seed: of all that is drawn.
        progress: is told before each attack, and after each batch.

    Raises:
        TemperError: an attack left its bounds.
    """
    adversarial, device = images.clone(), images.device
    with frozen(model):
        broken_by = torch.where(broken_images(model, images, labels, batch_size), MISTAKEN, STANDS)
        results = []
        for number, turn in enumerate(turns, start=1):
            standing = torch.nonzero(broken_by == STANDS).flatten()
            directions = _directions(images, adversarial, labels, broken_by)
            attack, counter = turn.make(threat_model, directions), GradientCounter()
            generator = torch.Generator(device).manual_seed(1000 * seed + number)
            begun, done = time.perf_counter(), 0
            progress(Progress(turn.name, number, len(turns), done, len(standing)))
            for rows in torch.split(standing, batch_size) if len(standing) else ():
                found = perturb(attack, model, images[rows], labels[rows], generator, counter)
                broken = broken_images(model, found, labels[rows], batch_size)
                adversarial[rows[broken]] = found[broken]
                broken_by[rows[broken]] = number
                done += len(rows)
                progress(Progress(turn.name, number, len(turns), done, len(standing)))
            seconds, broke = time.perf_counter() - begun, int((broken_by == number).sum())
            counted = (counter.seen, counter.zero, counter.not_finite)
            results.append(
                TurnResult(turn.name, turn.white_box, len(standing), broke, counter.passes, seconds, *counted)
            )
    return Attacked(tuple(results), broken_by.cpu().numpy().astype(np.int8), adversarial)


def broken_images(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    """Returns (n,) whether a network labels an image wrong; the network is used as it is."""
    with torch.no_grad():
        batches = zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
        return torch.cat([wrong(model(x), y) for x, y in batches])


def _directions(images: Tensor, adversarial: Tensor, labels: Tensor, broken_by: Tensor) -> Directions:
    """Returns the shifts that broke images, those found last if there are many."""
    broken = torch.nonzero(broken_by > MISTAKEN).flatten()
    last = broken[broken_by[broken].argsort(descending=True, stable=True)][:DIRECTIONS]
    return Directions(adversarial[last] - images[last], labels[last])
