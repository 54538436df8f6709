"""Plans what follows from a proposal before it runs, its compute and its size, so that the sampler can weigh it."""

import math
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache

from search.events import Listener, Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.study import Study, compute_of
from trainables.attacks.registry import attack_of
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import Compression, NoCompression, Quantization
from trainables.data.splits import Splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.metrics import COMPUTE, FORESEEN
from trainables.execution.ending import State
from trainables.losses.losses import loss_of
from trainables.recipe.recipe import Recipe

OWN_FLOPS = "own_flops"
OF_BITS = frozenset({"inference_bitops", "model_bytes"})  # what bits change; quantization is left out of all else
MOST_KEPT = 20_000  # counts that are kept, some ten megabytes: a space with more combinations than that counts anew


class CostModel(Listener):
    """Computes a recipe's compute, as its study counts it, and its size where that is an objective.

    Both are right to within some ten percent. They are counted on networks, but not on the network of every candidate:
    a compression method may name other networks that stand for its own (pruning interpolates between a few ratios), and
    quantization changes sizes alone, by what it does to those of the dense network. A base or a teacher that has not
    finished has no weights to count with. Such a base, of another length of pretraining, is counted as the study's own
    base, whose network costs the same; such a teacher as the recipe's base, or the study's where the recipe has none,
    with the teacher's own training added. Several threads may ask.

    Most candidates differ from an earlier one in epsilon or learning rate alone, which change nothing here. So what was
    counted is kept by what it depends on.
    """

    def __init__(
        self, study: Study, fixed: FixedRecipes, splits: Splits, fetch: Callable[[Recipe], TrainedModel]
    ) -> None:
        """Create a model for the recipes of a study.

        Args:
            study: the study.
            fixed: its fixed recipes.
            splits: its data.
            fetch: returns the trained network of a base or teacher that has finished.
        """
        self._study, self._base = study, fixed.base.recipe
        wanted = {compute_of(study)} | {name for name in study.objectives if name in FORESEEN}
        self._wanted = (OWN_FLOPS, *(name for name in FORESEEN if name in wanted))
        self._planner = FlopsPlanner(splits, fetch, sizes=bool(wanted - set(COMPUTE)))
        self._finished: set[Recipe] = set()
        self._lock = threading.Lock()  # a planner serves one thread at a time
        self._counted: dict[object, Mapping[str, float]] = {}

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.state is State.COMPLETE and proposal.role in ("base", "baseline"):
            self._finished.add(proposal.recipe)
            self._counted = {}

    def __call__(self, recipe: Recipe) -> dict[str, float]:
        """Return a recipe's FLOPs, end-to-end if the study has that objective, else marginal, and its foreseen metrics.

        `OWN_FLOPS` are those that it spends itself, without its base and teacher. The study's own base must have
        finished.
        """
        what = _what_counts(recipe)
        parts = _counted_as(recipe.compression)
        counted = [(self._count(recipe, compression, what), weight) for compression, weight in parts]
        return {name: float(math.prod(one[name] ** weight for one, weight in counted)) for name in self._wanted}

    def _count(self, recipe: Recipe, compression: Compression, what: object) -> Mapping[str, float]:
        """Return what is wanted of a recipe if it were compressed by the given method instead of its own."""
        kept = self._counted
        counted = kept.get((compression, what))
        if counted is None:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            counted = kept[compression, what] = self._plan(recipe, compression)
        return counted

    def _plan(self, recipe: Recipe, compression: Compression) -> Mapping[str, float]:
        changed: dict[str, object] = {"compression": compression, "quantization": None}
        unfinished = recipe.base is not None and recipe.base not in self._finished
        if unfinished:
            changed["base"] = self._base
        teacher = recipe.separate_teacher
        absent = teacher is not None and teacher not in self._finished
        if absent and recipe.distillation is not None:
            changed["distillation"] = recipe.distillation.model_copy(
                update={"teacher": None if recipe.base is not None else self._base}
            )
        standing = recipe.model_copy(update=changed)
        with self._lock:
            ledger = self._planner.plan(standing)
            sizes = self._sizes(standing, recipe.quantization)
        flops = ledger.marginal
        if absent and teacher is not None:
            flops += self._plan(teacher, teacher.compression)["train_flops"]
        base, counted = recipe.base, self._base
        longer = base.schedule.epochs / counted.schedule.epochs if unfinished and base is not None else 1.0
        before = 0.0 if absent and base is None else ledger.base * longer
        own_flops = ledger.marginal - ledger.ancestors
        return {OWN_FLOPS: own_flops, "train_flops": flops, "end_to_end_flops": flops + before, **sizes}

    def _sizes(self, recipe: Recipe, bits: Quantization | None) -> dict[str, float]:
        """Return the size of a recipe's network, where the study wants any of it.

        Bits are counted on the dense network alone, and change a pruned one's size by the same factor: a network for
        each pair of a ratio and bits would be hundreds, and minutes before the first proposal.
        """
        if not set(self._wanted) - {OWN_FLOPS, *COMPUTE}:
            return {}
        sizes = self._planner.sizes(recipe)
        dense = recipe.model_copy(update={"compression": NoCompression()})
        if "mac_ratio" in self._wanted:
            sizes["mac_ratio"] = sizes["inference_macs"] / self._planner.sizes(dense)["inference_macs"]
        if bits is not None and OF_BITS & set(self._wanted):
            rounded = dense.model_copy(update={"quantization": bits})
            whole, fewer = self._planner.sizes(dense), self._planner.sizes(rounded)
            sizes |= {name: sizes[name] * fewer[name] / whole[name] for name in OF_BITS}
        return sizes


@lru_cache(maxsize=1024)  # the same few methods come again in every two hundred candidates
def _counted_as(compression: Compression) -> tuple[tuple[Compression, float], ...]:
    return compression.counted_as() or ((compression, 1.0),)


def _what_counts(recipe: Recipe) -> tuple[object, ...]:
    """Return all of a recipe but its compression that its compute and its size depend on, so that others may share it.

    Of an attack and a loss these are their passes; epsilon, learning rate and the like change nothing.
    """
    attack, loss, schedule = attack_of(recipe.perturbation), loss_of(recipe.loss), recipe.schedule
    return (
        *(recipe.data, recipe.model, recipe.base, recipe.weights, recipe.seed, recipe.quantization, recipe.loop),
        *(recipe.teacher, recipe.separate_teacher, recipe.is_ordinary_pretraining),
        *(attack.passes, attack.sound, loss.full_passes, loss.target_passes),
        *(schedule.epochs, schedule.batch_size, schedule.last_epoch_steps),
    )
