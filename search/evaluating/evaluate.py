"""Evaluates a subject on the device that is there, and shows how far it is."""

import sys
from dataclasses import dataclass
from typing import Any

import click
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


def evaluate(subject: Subject, attack: Strength, seed: int) -> Result:
    """Attack a subject's network by an ensemble; a bar on standard error, if that is a terminal, shows how far it is.

    A network with gradients is attacked on the GPU where there is one. One that is quantized is attacked as the file
    that it is deployed as, too.
    """
    gpu = subject.white_box and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    bar = _Bar()
    try:
        network = evaluate_model(
            subject.model.to(device),
            subject.images.to(device),
            subject.labels.to(device),
            subject.threat_model,
            attack=attack,
            seed=seed,
            white_box=subject.white_box,
            source=None if subject.source is None else subject.source.to(device),
            progress=bar.show,
        )
        if subject.deployed is None:
            return Result(network)
        bar.close()
        deployed = evaluate_deployed(
            subject.deployed.file,
            subject.images,
            subject.labels,
            subject.threat_model,
            adversarial=network.adversarial.cpu(),
            parent=subject.deployed.parent,
            attack=attack,
            seed=seed,
            progress=bar.show,
        )
        return Result(network, deployed)
    finally:
        bar.close()


class _Bar:
    """One bar for each attack, with the time that is left."""

    def __init__(self) -> None:
        self._turn = 0
        self._done = 0
        self._bar: Any = None

    def show(self, progress: Progress) -> None:
        if not sys.stderr.isatty():
            return
        if progress.number != self._turn:
            self.close()
            label = f"{progress.number}/{progress.turns} {progress.turn:18}"
            self._bar = click.progressbar(length=progress.standing, label=label, file=sys.stderr, show_pos=True)
            self._bar.render_progress()
            self._turn, self._done = progress.number, 0
        self._bar.update(progress.done - self._done)
        self._done = progress.done

    def close(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()
            self._bar, self._turn = None, 0
