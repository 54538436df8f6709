"""Plans what follows from a proposal before it runs, its compute and its size, so that the sampler can weigh it."""

import math
import threading
from collections.abc import Callable, Mapping

from search.events import Listener, Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.study import Study, compute_of
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import Compression, NoCompression, Quantization
from trainables.data.splits import Splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.metrics import COMPUTE, FORESEEN
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe

OWN_FLOPS = "own_flops"
OF_BITS = frozenset({"inference_bitops", "model_bytes"})  # what bits change; quantization is left out of all else


class CostModel(Listener):
    """Computes a recipe's compute, as its study counts it, and its size where that is an objective.

    Both are right to within some ten percent. They are counted on networks, but not on the network of every candidate:
    a compression method may name other networks that stand for its own (pruning interpolates between a few ratios), and
    quantization changes sizes alone, by what it does to those of the dense network. A base or a teacher that has not
    finished has no weights to count with. Such a base, of another length of pretraining, is counted as the study's own
    base, whose network costs the same; such a teacher as the recipe's base, or the study's where the recipe has none,
    with the teacher's own training added. Several threads may ask.
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

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.state is State.COMPLETE and proposal.role in ("base", "baseline"):
            self._finished.add(proposal.recipe)

    def __call__(self, recipe: Recipe) -> dict[str, float]:
        """Return a recipe's FLOPs, end-to-end if the study has that objective, else marginal, and its foreseen metrics.

        `OWN_FLOPS` are those that it spends itself, without its base and teacher. The study's own base must have
        finished.
        """
        parts = recipe.compression.counted_as() or ((recipe.compression, 1.0),)
        counted = [(self._count(recipe, compression), weight) for compression, weight in parts]
        return {name: float(math.prod(one[name] ** weight for one, weight in counted)) for name in self._wanted}

    def _count(self, recipe: Recipe, compression: Compression) -> Mapping[str, float]:
        """Return what is wanted of a recipe if it were compressed by the given method instead of its own."""
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
            flops += self._count(teacher, teacher.compression)["train_flops"]
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
