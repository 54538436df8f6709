"""Measures a network under conditions that it was not trained for: wider balls, the other norm, corrupted images,
another data set of the same classes."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from trainables.conditions.corruptions import SEVERITIES, corrupt, corruptions_for
from trainables.conditions.other_norm import other_norm
from trainables.conditions.record import Conditions
from trainables.ensemble.ensemble import SCORING, broken_images, run_turns, transfer
from trainables.evaluation.config import ThreatModel
from trainables.models.build import frozen

MULTIPLES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # of the threat model's epsilon


def measure_conditions(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat_model: ThreatModel,
    *,
    sources: Mapping[str, nn.Module],
    other_data: Mapping[str, tuple[Tensor, Tensor]] = MappingProxyType({}),
    seed: int = 0,
    batch_size: int = 256,
) -> Conditions:
    """Measures the accuracy of a network under other conditions.

    Args:
        model: any classifier that gives scores (n, classes) for images in [0, 1]; its mode and buffers are left as they
            were.
        images: (n, channels, height, width) in [0, 1], on the model's device.
        labels: their labels (n,).
        threat_model: norm and epsilon that the network was trained against.
        sources: other networks on the same device, whose adversarial examples are tried, by name.
        other_data: images and labels of other data sets of the same classes and shape, on the same device, by name.
        seed: of all that is drawn.
        batch_size: images per pass.
    """

    def attacked(threat: ThreatModel, images: Tensor = images, labels: Tensor = labels) -> float:
        found = run_turns(model, images, labels, threat, (SCORING,), batch_size=batch_size, seed=seed)
        return float(found.stands.mean())

    def transferred(source: nn.Module) -> float:
        turns = (transfer(source),)
        found = run_turns(model, images, labels, threat_model, turns, batch_size=batch_size, seed=seed)
        return float(found.stands.mean())

    other = other_norm(threat_model, images[0].numel())
    with frozen(model):
        return Conditions(
            clean=_accuracy(model, images, labels, batch_size),
            by_epsilon={
                multiple: attacked(threat_model.model_copy(update={"epsilon": multiple * threat_model.epsilon}))
                for multiple in MULTIPLES
            },
            other=other,
            other_norm=attacked(other),
            corruptions={
                name: tuple(
                    _accuracy(model, _corrupted(name, images, severity, seed, batch_size), labels, batch_size)
                    for severity in range(1, SEVERITIES + 1)
                )
                for name in corruptions_for(images.shape[1])
            },
            transfers={name: transferred(source) for name, source in sources.items()},
            other_data={
                name: (_accuracy(model, x, y, batch_size), attacked(threat_model, x, y))
                for name, (x, y) in other_data.items()
            },
        )


def _corrupted(name: str, images: Tensor, severity: int, seed: int, batch_size: int) -> Tensor:
    generator = torch.Generator(images.device).manual_seed(seed)
    return torch.cat([corrupt(name, part, severity, generator) for part in torch.split(images, batch_size)])


def _accuracy(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> float:
    return 1 - float(broken_images(model, images, labels, batch_size).float().mean())
