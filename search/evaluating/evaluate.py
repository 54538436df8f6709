"""Evaluates a subject on the device that is there."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from search.evaluating.subjects import Subject
from trainables.assessment.deployed import DeployedEvaluation, evaluate_deployed
from trainables.assessment.evaluate_model import Evaluation, evaluate_model
from trainables.ensemble.ensemble import Progress
from trainables.evaluation.config import Strength


@dataclass(frozen=True, eq=False)
class Result:
    """What was found of a subject.

    Attributes:
        network: what was found of its network.
        deployed: of a quantized network, what was found of the file that it is deployed as.
    """

    network: Evaluation
    deployed: DeployedEvaluation | None = None


def evaluate(
    subject: Subject,
    attack: Strength,
    seed: int,
    doing: Callable[[str, int, int], object] = lambda text, done, total: None,
) -> Result:
    """Attack a subject's network by an ensemble.

    A network with gradients is attacked on the GPU where there is one. One that is quantized is attacked as the file
    that it is deployed as, too.

    Args:
        subject: the network, and what it is evaluated on.
        attack: the ensemble.
        seed: of all that is drawn.
        doing: is told by what the images are attacked, how many of them were, and how many there are.
    """

    def told(progress: Progress) -> None:
        doing(f"{progress.number}/{progress.turns} {progress.turn}", progress.done, progress.standing)

    gpu = subject.white_box and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    network = evaluate_model(
        subject.model.to(device),
        subject.images.to(device),
        subject.labels.to(device),
        subject.threat_model,
        attack=attack,
        seed=seed,
        white_box=subject.white_box,
        source=None if subject.source is None else subject.source.to(device),
        progress=told,
    )
    if subject.deployed is None:
        return Result(network)
    deployed = evaluate_deployed(
        subject.deployed.file,
        subject.images,
        subject.labels,
        subject.threat_model,
        adversarial=network.adversarial.cpu(),
        parent=subject.deployed.parent,
        attack=attack,
        seed=seed,
        progress=told,
    )
    return Result(network, deployed)
