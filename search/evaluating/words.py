"""Writes what came out of an evaluation: a table for people, JSON for programs."""

import json
import math
from typing import Any

from search.evaluating.subjects import Subject
from trainables.assessment.evaluate_model import Evaluation
from trainables.evaluation.config import threat_words


def table(subject: Subject, found: Evaluation) -> list[str]:
    """Return the lines of the table, and what there is to say of it."""
    images = len(found.clean)
    standing = int(found.clean.sum())
    lines = [
        subject.name,
        f"{images:,} {subject.split} images, {threat_words(found.threat_model)}, {found.attack} ensemble"
        f"{'' if found.white_box else ' without gradients'}",
        "",
        f"{'attack':20} {'broke':>7} {'left right':>11} {'passes/image':>13} {'seconds':>8}",
        f"{'none':20} {'':7} {standing / images:11.3f}",
    ]
    for turn in found.turns:
        standing -= turn.broken
        each = turn.passes / turn.given if turn.given else 0
        lines.append(f"{turn.name:20} {turn.broken:7,} {standing / images:11.3f} {each:13.1f} {turn.seconds:8.1f}")
    lines += ["", _sentence(found)]
    if not found.white_box:
        lines.append(
            "an upper bound: a deployed file has no gradients, so only attacks that need none were run; the network "
            "that it was exported from can be attacked by RUN:ID"
        )
    lines += [f"UNRELIABLE: {reason}" for reason in found.unreliable]
    return lines


def as_json(subject: Subject, found: Evaluation) -> str:
    """Return the result as JSON, with what broke each image: the attack's name, `clean`, or null where it stands."""
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
        "robust_accuracy_stderr": standard_error(found),
        "unreliable": list(found.unreliable),
        "attacks": [
            {
                "name": turn.name,
                "white_box": turn.white_box,
                "given": turn.given,
                "broken": turn.broken,
                "passes": turn.passes,
                "seconds": round(turn.seconds, 3),
            }
            for turn in found.turns
        ],
        "broken_by": list(found.broken_by),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def standard_error(found: Evaluation) -> float:
    """Return the binomial standard error of the robust accuracy over the images."""
    p = found.robust_accuracy
    return math.sqrt(p * (1 - p) / len(found.robust))


def _sentence(found: Evaluation) -> str:
    words = (
        f"robust accuracy {found.robust_accuracy:.3f} ± {standard_error(found):.3f} (standard error), "
        f"clean {found.clean_accuracy:.3f}"
    )
    if found.scored_accuracy is not None:
        words += f"; a search's own attack would say {found.scored_accuracy:.3f}"
    return words
