"""A searcher without Ray: results as Tune hands them on, and a listener that notes all that it hears."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.utils.util import flatten_dict

from search.events import Listener, Outcome, Proposal, Row
from search.recipes.fixed import FixedRecipes
from search.running.searcher import ParetoSearcher
from search.samplers.sampler import Sampler, sampler_of
from search.study.study import Study
from trainables.compression.config import ChannelPruning
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.execution.report import Report
from trainables.recipe.recipe import Recipe

OUT_OF_MEMORY = Ending(EndKind.OUT_OF_MEMORY, "MemoryError: too much")


def result(report: Report) -> dict[str, Any]:
    """A report as Tune hands it to searchers and schedulers."""
    return dict(flatten_dict(report.as_result()))


def epoch(number: int, **numbers: Any) -> dict[str, Any]:
    """The result of an epoch after which the trial goes on."""
    return result(Report(row={"epoch": number, **numbers}, busy_seconds=float(number)))


def finished(metrics: dict[str, float], number: int = 1) -> dict[str, Any]:
    """The result of a trial's last epoch."""
    return result(
        Report(
            row={"epoch": number},
            busy_seconds=1.0,
            ending=FINISHED,
            metrics=metrics,
            robust_correct="ff",
            examples=8,
        )
    )


def done(robust: float, flops: float) -> dict[str, Any]:
    """Likewise, in the two objectives that most studies have."""
    return finished({"robust_accuracy": robust, "train_flops": flops})


def ended_early(kind: EndKind, reason: str) -> dict[str, Any]:
    """The result of a trial that ended before its schedule did."""
    return result(Report(row={"epoch": 1}, busy_seconds=1.0, ending=Ending(kind, reason)))


def planned(recipe: Recipe) -> dict[str, float]:
    """Made-up FLOPs of a recipe, and a made-up size."""
    left = 1 - (recipe.compression.pruning_ratio or 0.0) if isinstance(recipe.compression, ChannelPruning) else 1.0
    flops = 1e9 * recipe.schedule.epochs * left**2
    sizes = {"inference_macs": 1e6 * left**2, "model_bytes": 1e4 * left}
    return {"train_flops": flops, "end_to_end_flops": flops + 1e9, **sizes}


def sampler(study: Study, **settings: Any) -> Sampler:
    """The sampler that a study names, with made-up costs."""
    return sampler_of(study, FixedRecipes.of(study), settings.pop("cost", planned), **settings)


def searcher(
    study: Study, *listeners: Listener, cost: Callable[[Recipe], Mapping[str, float]] = planned, **settings: Any
) -> ParetoSearcher:
    """A searcher of a study."""
    return ParetoSearcher(study, FixedRecipes.of(study), sampler(study, cost=cost), listeners, **settings)


class Log(Listener):
    """What a searcher announced; a trial `t1` that fails ran out of memory."""

    def __init__(self, study: Study) -> None:
        self.proposals: list[Proposal] = []
        self.rows: list[tuple[Proposal, Row, Ending | None]] = []
        self.outcomes: list[Outcome] = []
        self.reasons: list[str] = []  # why nothing more is proposed
        self.sampler = sampler(study)
        self.searcher = ParetoSearcher(study, FixedRecipes.of(study), self.sampler, [self], {"t1": OUT_OF_MEMORY}.get)

    def proposed(self, proposal: Proposal) -> None:
        self.proposals.append(proposal)

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        self.rows.append((proposal, row, ending))

    def closed(self, reason: str) -> None:
        self.reasons.append(reason)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
