"""Says in words what is wrong with a network's numbers: signs that it only looks robust, or that an attack is broken.

The signs are those of arXiv 1802.00420 and 1902.06705: a network may hide its gradients, so that attacks which follow
them fail, although it is no more robust. Each check is one function, and is listed in `OF_ANSWERS` or `CHECKS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainables.assessment.probes import SAME, WIDER, Answers, Probes
from trainables.ensemble.ensemble import Attacked
from trainables.value_forms import counted

FEW, FEW_IMAGES = 0.01, 5  # share and number of images up to which a sign may be chance
MASKED = 0.01  # share of the gradients that may be zero
# The largest of 17 sound networks and half again: tests/benchmarks/autoattack/limits.py.
GAP = 0.14  # of accuracy, that PGD on two losses may lie above the ensemble
SINGLE_STEP_GAP = 0.36  # of accuracy, that one step may lie above PGD on two losses


@dataclass(frozen=True, eq=False)
class Observed:
    """What was seen of a network.

    Attributes:
        attacked: what the ensemble made of it.
        probes: what was measured beside.
        outside: number of adversarial images that lie outside the ball or [0, 1].
    """

    attacked: Attacked
    probes: Probes
    outside: int = 0


def unsteady(found: Answers) -> str | None:
    """Answers that differ from call to call: what breaks an image once may not break it again."""
    if not found.unsteady:
        return None
    return f"its scores for {counted(found.unsteady, 'image')} differ from one call to the next by more than {SAME:.1%}"


def mixed(found: Answers) -> str | None:
    """Answers that depend on the other images of a batch, by which an attack on one image changes others."""
    if found.unsteady or not found.mixed:  # answers that differ anyway say nothing of the other images
        return None
    return (
        f"its scores for {found.mixed} of {counted(found.compared, 'image')} are others beside other images, by more "
        f"than {SAME:.1%}: they mix across the batch"
    )


def not_finite(found: Answers) -> str | None:
    """Scores that say nothing, and can be neither right nor attacked."""
    return f"its scores for {counted(found.not_finite, 'image')} are not finite" if found.not_finite else None


def moved_buffers(seen: Observed) -> str | None:
    """Buffers, such as BatchNorm's statistics, that evaluation has changed."""
    names = seen.probes.moved_buffers
    return f"evaluation has changed {len(names)} of its buffers, such as {names[0]}" if names else None


def outside(seen: Observed) -> str | None:
    """Adversarial images that the threat model does not allow."""
    return f"{seen.outside} adversarial images lie outside the ball or [0, 1]" if seen.outside else None


def probabilities(seen: Observed) -> str | None:
    """A softmax in front of the loss, which hides the gradient."""
    return "it gives probabilities, not scores, so that gradients vanish" if seen.probes.probabilities else None


def gradients(seen: Observed) -> str | None:
    """Gradients that are zero or not finite."""
    turns = [turn for turn in seen.attacked.turns if turn.white_box and turn.gradients]
    followed = sum(turn.gradients for turn in turns)
    zero, not_finite = (
        sum(getattr(turn, name) for turn in turns) for name in ("zero_gradients", "nonfinite_gradients")
    )
    if not_finite:
        return f"{not_finite} of the attacks' {followed} gradients are not finite"
    if followed and zero / followed > MASKED:
        return f"{zero / followed:.1%} of the attacks' gradients are zero"
    return None


def raised_accuracy(seen: Observed) -> str | None:
    """A step up the loss that makes a network better, mistakes included."""
    clean, stepped = seen.probes.clean, seen.probes.single_step
    gained, lost = int((stepped & ~clean).sum()), int((clean & ~stepped).sum())
    if not _many(gained - lost, len(clean)):
        return None
    return (
        f"one step up the loss makes it right on {stepped.mean():.3f} of the images, without it on {clean.mean():.3f}"
    )


def not_monotone(seen: Observed) -> str | None:
    """Images that the ensemble broke, and that stand against a wider ball."""
    stands = seen.attacked.stands[: len(seen.probes.wider)]
    right = seen.attacked.clean[: len(stands)]
    back = int((seen.probes.wider & right & ~stands).sum())
    more = float(seen.probes.wider.mean() - stands.mean())
    if more <= 0 or not _many(round(more * len(stands)), len(stands)):
        return None
    return (
        f"{more:.3f} more stand at {WIDER:g} times the epsilon than at epsilon, and {back} of those broken at epsilon"
    )


def stands_far_away(seen: Observed) -> str | None:
    """Images that stand where all images can be made alike, so that at most one class can be right."""
    stands = float(seen.probes.far.mean())
    limit = seen.probes.largest_class
    if not _many(round((stands - limit) * len(seen.probes.far)), len(seen.probes.far)):
        return None
    return (
        f"{stands:.3f} stand in a ball so large that every image can be made grey, where one answer for all is right "
        f"on {limit:.3f} at most"
    )


def black_box_is_stronger(seen: Observed) -> str | None:
    """Images that stand against gradients and fall to an attack without any."""
    turns = [turn for turn in seen.attacked.turns if not turn.white_box]
    if not turns or not any(turn.white_box for turn in seen.attacked.turns):
        return None
    broken, given = sum(turn.broken for turn in turns), turns[0].given
    if not _many(broken, given):
        return None
    return f"attacks without gradients broke {broken} of the {counted(given, 'image')} that those with gradients left"


def single_step_gap(seen: Observed) -> str | None:
    """A network that one step hardly harms and several steps break: catastrophic overfitting (arXiv 2001.03994).

    One step also falls far short of several in L2, and at a larger epsilon than was trained with. What tells the two
    apart is that images are wrong on the way of the step, and right at its end (arXiv 2010.01799).
    """
    first = _after_first(seen.attacked)
    probed = seen.probes.single_step & seen.probes.clean
    gap = float(probed.mean() - first[: len(probed)].mean())
    if gap <= SINGLE_STEP_GAP or not _many(int(seen.probes.distorted.sum()), len(seen.probes.distorted)):
        return None
    return f"{probed.mean():.3f} stand after one step, {first.mean():.3f} after several: catastrophic overfitting"


def ensemble_gap(seen: Observed) -> str | None:
    """PGD that is far weaker than the ensemble: then the ensemble may be too weak as well."""
    first = _after_first(seen.attacked)
    gap = float(first.mean() - seen.attacked.stands.mean())
    return f"PGD leaves {gap:.3f} more than the ensemble, where {GAP} is the limit" if gap > GAP else None


OF_ANSWERS: tuple[Callable[[Answers], str | None], ...] = (unsteady, mixed, not_finite)
CHECKS: tuple[Callable[[Observed], str | None], ...] = (
    moved_buffers,
    outside,
    probabilities,
    gradients,
    raised_accuracy,
    not_monotone,
    stands_far_away,
    black_box_is_stronger,
    single_step_gap,
    ensemble_gap,
)


def reasons(seen: Observed) -> tuple[str, ...]:
    """Returns why the numbers cannot be trusted, in words; nothing where no check finds anything."""
    found = tuple(reason for check in CHECKS if (reason := check(seen)) is not None)
    return (*own_reasons(seen.probes.answers), *found)


def own_reasons(found: Answers) -> tuple[str, ...]:
    """Returns the same of a network's scores alone, which need no gradient."""
    return tuple(reason for check in OF_ANSWERS if (reason := check(found)) is not None)


def _many(images: int, of: int) -> bool:
    return images >= FEW_IMAGES and images > FEW * of


def _after_first(attacked: Attacked) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(n,) whether an image stood after the first attack of the ensemble, PGD on two losses."""
    return np.asarray(attacked.clean & (attacked.broken_by != 1))
