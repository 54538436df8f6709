"""Says how robust a trained network is: attacks it by the ensemble, and checks whether the result can be trusted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.assessment.arguments import check_settings, classifier, tensor, threat, whole_numbers
from trainables.assessment.checks import Observed, own_reasons, reasons
from trainables.assessment.model_check import check_model
from trainables.assessment.probes import answers, probe
from trainables.attacks.attack import ROUNDING, ROUNDING_OF_LENGTH
from trainables.ensemble.ensemble import (
    BLACK_BOX,
    ENSEMBLES,
    MISTAKEN,
    STANDS,
    Attacked,
    Progress,
    TurnResult,
    run_turns,
    transfer,
)
from trainables.ensemble.self_test import check_attacks
from trainables.evaluation.config import Strength, ThreatModel, threat_words
from trainables.value_forms import counted

Bits = NDArray[np.bool_]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How robust a network is, image by image.

    Attributes:
        threat_model: what was allowed to the attacks.
        attack: the ensemble.
        clean: (n,) whether an image is labelled right as it is.
        scored: (n,) whether it is right under PGD on two losses, the attack that a search scores by; None without
            gradients.
        robust: (n,) whether it is right under every attack.
        broken_by: (n,) name of the attack that broke it; None where none did; `clean` where it was wrong before.
        turns: what each attack did.
        unreliable: why the numbers cannot be trusted, in words; empty where no check found anything.
        adversarial: (n, channels, height, width) the images as they were broken, the others as they are.
    """

    threat_model: ThreatModel
    attack: Strength
    clean: Bits
    scored: Bits | None
    robust: Bits
    broken_by: tuple[str | None, ...]
    turns: tuple[TurnResult, ...]
    unreliable: tuple[str, ...]
    adversarial: Tensor

    @property
    def clean_accuracy(self) -> float:
        """Share of images that are labelled right as they are, 0–1."""
        return float(self.clean.mean())

    @property
    def scored_accuracy(self) -> float | None:
        """Share that is right under the attack that a search scores by, 0–1; None without gradients."""
        return None if self.scored is None else float(self.scored.mean())

    @property
    def robust_accuracy(self) -> float:
        """Share that is right under every attack, 0–1."""
        return float(self.robust.mean())

    @property
    def white_box(self) -> bool:
        """Whether attacks followed gradients; if not, the robust accuracy is an upper bound."""
        return any(turn.white_box for turn in self.turns)

    def __repr__(self) -> str:
        """Return its numbers in a line, without the images."""
        said = f"{threat_words(self.threat_model)}, {self.attack} attack, {counted(len(self.clean), 'image')}: "
        said += f"robust accuracy {self.robust_accuracy:.3f}, clean {self.clean_accuracy:.3f}"
        return said + (f"; unreliable: {'; '.join(self.unreliable)}" if self.unreliable else "")


@torch.inference_mode(False)
@torch.enable_grad()
def evaluate_model(
    model: nn.Module | Callable[[Tensor], Tensor],
    images: Tensor | Array,
    labels: Tensor | Array | Sequence[int],
    threat_model: ThreatModel | Mapping[str, Any],
    *,
    attack: Strength = "standard",
    seed: int = 0,
    white_box: bool = True,
    source: nn.Module | Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 256,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Evaluation:
    """Measures the robust accuracy of a network as the worst case of several attacks, image by image.

    Before, the attacks are tried on a linear network of known margins. After, checks look for signs that the network
    only hides its gradients, or that its answers change. Where one finds something, the result is marked as unreliable,
    and what still stands under `standard` is attacked by `full` as well.

    Args:
        model: any classifier that gives scores (n, classes) for images in [0, 1], or several outputs of which these
            are the first; its mode and buffers are left as they were.
        images: (n, channels, height, width) in [0, 1], n ≥ 1.
        labels: their labels (n,), whole numbers.
        threat_model: norm, and epsilon for pixels in [0, 1].
        attack: quick (PGD on two losses, APGD-T on three classes), standard, or full (the unabridged ensemble of
            arXiv 2003.01690, and restarts).
        seed: of all that is drawn.
        white_box: whether the network has gradients; without, only attacks that need none are run, and robust accuracy
            is an upper bound.
        source: another network for the same images, on the same device, whose adversarial examples are tried as well.
        batch_size: images per pass.
        progress: is told before each attack, and after each batch.

    Raises:
        InvalidInput: an argument is none of these; images, labels and scores do not fit each other, or images lie
            outside [0, 1]; the network changes the images that it is given, cannot be called with several or with one,
            or has no gradient.
        TemperError: the attacks fail on the linear network.
    """
    check_settings(attack, batch_size)
    threat_model, model = threat(threat_model), classifier(model)
    images, labels = tensor(images, "images"), whole_numbers(labels, "labels")
    place = next(chain(model.parameters(), model.buffers()), images).device
    images, labels = images.to(place), labels.to(place)
    check_model(model, images, labels, white_box=white_box)
    turns = (ENSEMBLES if white_box else BLACK_BOX)[attack]
    check_attacks(turns, threat_model, place)
    turns = turns if source is None else (*turns, transfer(classifier(source, "source")))
    attacked = run_turns(
        model, images, labels, threat_model, turns, batch_size=batch_size, seed=seed, progress=progress
    )
    if white_box:
        probes = probe(model, images, labels, threat_model, batch_size=batch_size, seed=seed)
        outside = outside_of(threat_model, images, attacked.adversarial)
        unreliable = reasons(Observed(attacked, probes, outside))
    else:
        unreliable = own_reasons(answers(model, images, batch_size=batch_size))
    scored = np.asarray(attacked.clean & (attacked.broken_by != 1))
    if unreliable and attack == "standard" and white_box:
        attacked = _attacked_further(model, images, labels, threat_model, attacked, batch_size, seed, progress)
    names = {number: turn.name for number, turn in enumerate(attacked.turns, start=1)} | {MISTAKEN: "clean"}
    return Evaluation(
        threat_model=threat_model,
        attack=attack,
        clean=attacked.clean,
        scored=scored if white_box else None,
        robust=attacked.stands,
        broken_by=tuple(names.get(int(number)) for number in attacked.broken_by),
        turns=attacked.turns,
        unreliable=unreliable,
        adversarial=attacked.adversarial,
    )


def _attacked_further(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat_model: ThreatModel,
    attacked: Attacked,
    batch_size: int,
    seed: int,
    progress: Callable[[Progress], None],
) -> Attacked:
    """Runs the full ensemble on what still stands; its attacks are numbered on."""
    rows = torch.from_numpy(attacked.stands).to(images.device)
    if not bool(rows.any()):
        return attacked
    further = run_turns(
        model,
        images[rows],
        labels[rows],
        threat_model,
        ENSEMBLES["full"],
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    numbered = np.where(further.broken_by > 0, further.broken_by + len(attacked.turns), further.broken_by)
    broken_by, adversarial = attacked.broken_by.copy(), attacked.adversarial.clone()
    # What answers differently from call to call may be wrong now without an attack: it was right before, and stands.
    broken_by[attacked.stands] = np.where(numbered == MISTAKEN, STANDS, numbered)
    adversarial[rows] = further.adversarial
    return Attacked((*attacked.turns, *further.turns), broken_by, adversarial)


def outside_of(threat_model: ThreatModel, images: Tensor, adversarial: Tensor) -> int:
    """Returns how many adversarial images the threat model does not allow; NaN is not allowed either.

    Args:
        threat_model: norm and epsilon.
        images: (n, channels, height, width).
        adversarial: of the same shape.
    """
    shift = (adversarial - images).flatten(1).double()
    linf = threat_model.norm == "linf"
    distance = shift.abs().amax(1) if linf else shift.square().sum(1).sqrt()
    allowed = threat_model.epsilon * (1 if linf else 1 + ROUNDING_OF_LENGTH) + ROUNDING
    in_box = ((adversarial >= 0) & (adversarial <= 1)).flatten(1).all(1)
    return int((~((distance <= allowed) & in_box)).sum())
