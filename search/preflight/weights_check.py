"""Says what the user's trained weights come to before anything is trained from them.

Weights that load may still answer nonsense: where they were trained on pixels that were normalized otherwise, or on
classes in another order. Every proposal of a search would then start from a network that knows nothing.
"""

import numpy as np
import torch

from search.study.study import Study
from trainables.data.splits import Splits, pixel_statistics
from trainables.estimation.flops_planner import CPU
from trainables.evaluation.chance import chance_error, learnt_nothing
from trainables.models.build import build
from trainables.models.weights import load_weights

MOST = 100  # validation images that are looked at
BATCH = 25  # of them at once
CLASSES = 5  # most classes that are named


def tried_weights(study: Study, splits: Splits) -> list[str]:
    """Return what a study's own weights come to on a few validation images, as lines; none where it has no weights.

    Args:
        study: the study, whose network works with its weights, as `check_network` finds out.
        splits: its data.
    """
    if study.pretrained is None:
        return []
    images, labels = (part[:MOST] for part in splits.validation.tensors(CPU))
    pixels = pixel_statistics(study.data, splits.train)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = build(study.model, tuple(images.shape[1:]), classes=splits.classes, pixels=pixels)
        load_weights(model, study.pretrained)
        model.eval()
        parts = [images[at : at + BATCH].clone() for at in range(0, len(images), BATCH)]  # which a network may change
        answers = torch.cat([model(part).argmax(1) for part in parts])
    right, chance = float((answers == labels).float().mean()), float(np.bincount(labels.numpy()).max() / len(labels))
    where = f"pretrained.path: {study.pretrained.path}:"
    numbers = {
        "clean_accuracy": right,
        "chance_accuracy": chance,
        "chance_accuracy_stderr": chance_error(chance, len(labels)),
        "answers_one_class": float((answers == answers[0]).all()),
    }
    if (nothing := learnt_nothing(numbers)) is None:
        return [f"note: {where} {right:.1%} of {len(labels)} validation images are right"]
    names = ", ".join(splits.name_of(number) for number in range(min(splits.classes, CLASSES)))
    more = ", …" if splits.classes > CLASSES else ""
    return [
        f"warning: {where} on {len(labels)} validation images {nothing}; expected weights that were trained on these "
        f"classes in this order ({names}{more}) and on pixels as the network is given them, in [0, 1]"
    ]
