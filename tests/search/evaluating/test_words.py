"""What is said of a network that does not understand the images that it is given."""

import json

import torch
from torch import nn

from search.evaluating.evaluate import Result
from search.evaluating.subjects import Subject
from search.evaluating.words import as_json, table
from trainables.assessment.evaluate_model import evaluate_model
from trainables.evaluation.config import ThreatModel


class Halves(nn.Module):
    """Tells images that are lighter on the left from others; with `scale` 255 it takes pixels of 0 to 255."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x[..., :2].mean((1, 2, 3)) / self.scale, x[..., 2:].mean((1, 2, 3)) / self.scale
        return torch.stack([left - right, right - left, 0.1 + 0 * left], 1)


def test_no_better_than_chance_is_said_with_what_the_network_is_given() -> None:
    labels = torch.arange(60) % 2
    images = torch.full((60, 1, 4, 4), 0.2)
    images[labels == 0, ..., :2] = images[labels == 1, ..., 2:] = 0.8
    threat = ThreatModel(epsilon=0.01)
    for scale, understood in ((1.0, True), (255.0, False)):
        model = Halves(scale)
        subject = Subject("halves", model, True, images, labels, "test", threat)
        result = Result(evaluate_model(model, images, labels, threat, attack="quick"))
        remarks = json.loads(as_json(subject, result))["remarks"]
        assert bool(remarks) is not understood
        assert (
            any(line.startswith("warning: its clean accuracy of 0.000") for line in table(subject, result))
            != understood
        )
        assert all("pixels in [0, 1]" in remark for remark in remarks)
