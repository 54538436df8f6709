"""Writes what came out of an evaluation: a table for people, JSON for programs."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from search.evaluating.evaluate import Result
from search.evaluating.subjects import Subject
from trainables.assessment.evaluate_model import Evaluation
from trainables.ensemble.ensemble import TurnResult
from trainables.evaluation.chance import chance_error, learnt_nothing
from trainables.evaluation.config import threat_words
from trainables.value_forms import counted


def table(subject: Subject, result: Result) -> list[str]:
    """Return the lines of the table, and what there is to say of it."""
    found = result.network
    images = len(found.clean)
    lines = [
        subject.name,
        f"{counted(images, f'{subject.split} image', ',')}, {threat_words(found.threat_model)}, {found.attack} ensemble"
        f"{'' if found.white_box else ' without gradients'}",
        "",
        f"{'attack':20} {'broke':>7} {'left right':>11} {'passes/image':>13} {'seconds':>8}",
        *_turns(found.turns, found.clean),
        "",
        _sentence(found),
    ]
    if not found.white_box:
        lines.append(
            "an upper bound: a deployed file has no gradients, so only attacks that need none were run; the network "
            "that it was exported from can be attacked by RUN:ID"
        )
    lines += [f"UNRELIABLE: {reason}" for reason in found.unreliable]
    lines += [f"warning: {remark}" for remark in remarks(subject, found)]
    if result.deployed is not None:
        ours, file = found.robust_accuracy, result.deployed.robust_accuracy
        lines += [
            "",
            "as the file that it is deployed as, in onnxruntime, without gradients:",
            *_turns(result.deployed.turns, result.deployed.clean),
            "",
            f"robust accuracy {ours:.3f} by gradients through its rounding, {file:.3f} of the file: "
            f"{min(ours, file):.3f} counts",
        ]
    return lines


def remarks(subject: Subject, found: Evaluation) -> list[str]:
    """Return what must be known of the network itself: that it is no better than chance, and why that may be so."""
    chance = float(torch.bincount(subject.labels).max()) / len(subject.labels)
    level = {"chance_accuracy": chance, "chance_accuracy_stderr": chance_error(chance, len(subject.labels))}
    nothing = learnt_nothing({**level, "clean_accuracy": found.clean_accuracy})
    if nothing is None:
        return []
    return [f"{nothing}; it is given pixels in [0, 1], and its scores are taken in the order of the data's classes"]


def _turns(turns: Sequence[TurnResult], clean: NDArray[np.bool_]) -> list[str]:
    """Return a line for each attack: what it broke, and what is left."""
    standing, images = int(clean.sum()), len(clean)
    lines = [f"{'none':20} {'':7} {standing / images:11.3f}"]
    for turn in turns:
        standing -= turn.broken
        each = turn.passes / turn.given if turn.given else 0
        lines.append(f"{turn.name:20} {turn.broken:7,} {standing / images:11.3f} {each:13.1f} {turn.seconds:8.1f}")
    return lines


def as_json(subject: Subject, result: Result) -> str:
    """Return the result as JSON, with what broke each image: the attack's name, `clean`, or null where it stands.

    Of a quantized network `robust_accuracy` is the lower of the two numbers that are under `deployed`.
    """
    found = result.network
    content: dict[str, Any] = {
        "model": subject.name,
        "split": subject.split,
        "examples": len(found.clean),
        "threat_model": found.threat_model.model_dump(mode="json"),
        "attack": found.attack,
        "white_box": found.white_box,
        "clean_accuracy": found.clean_accuracy,
        "scored_accuracy": found.scored_accuracy,
        "robust_accuracy": found.robust_accuracy,
        "robust_accuracy_stderr": standard_error(found.robust_accuracy, len(found.robust)),
        "unreliable": list(found.unreliable),
        "remarks": remarks(subject, found),
        "attacks": _attacks(found.turns),
        "broken_by": list(found.broken_by),
    }
    if result.deployed is not None:
        ours, file = found.robust_accuracy, result.deployed.robust_accuracy
        content["robust_accuracy"] = min(ours, file)
        content["robust_accuracy_stderr"] = standard_error(min(ours, file), len(found.robust))
        content["deployed"] = {
            "surrogate_robust_accuracy": ours,
            "file_robust_accuracy": file,
            "file_clean_accuracy": float(result.deployed.clean.mean()),
            "attacks": _attacks(result.deployed.turns),
        }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _attacks(turns: Sequence[TurnResult]) -> list[dict[str, Any]]:
    return [
        {
            "name": turn.name,
            "white_box": turn.white_box,
            "given": turn.given,
            "broken": turn.broken,
            "passes": turn.passes,
            "seconds": round(turn.seconds, 3),
        }
        for turn in turns
    ]


def standard_error(accuracy: float, images: int) -> float:
    """Return the binomial standard error of an accuracy (0–1) over so many images."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def _sentence(found: Evaluation) -> str:
    accuracy, error = found.robust_accuracy, standard_error(found.robust_accuracy, len(found.robust))
    words = f"robust accuracy {accuracy:.3f} ± {error:.3f} (standard error), clean {found.clean_accuracy:.3f}"
    if found.scored_accuracy is not None:
        words += f"; a search's own attack would say {found.scored_accuracy:.3f}"
    return words
