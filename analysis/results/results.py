"""A run as people use it from Python: tables, a verdict, a figure, and recipes to pick from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import pandas as pd

from analysis.evidence.comparisons import Confirmed, confirmed
from analysis.export.selection import ONE, one_trial
from analysis.pareto.frontier import compute_metric
from analysis.pareto.parity import verdict
from analysis.pareto.reference_point import least_of
from analysis.results.picked import Picked
from analysis.run.trials import Run, read_run
from analysis.tables.trials import curves, finished, on_frontier, recipes
from trainables.config import parse
from trainables.errors import InvalidInput
from trainables.evaluation.config import ThreatModel
from trainables.storage import Folder

if TYPE_CHECKING:
    import plotly.graph_objects as go


def load_run(run: str | PathLike[str]) -> "Results":
    """Read a run directory, also of a search that still runs: what has ended by now.

    Args:
        run: the directory, or its URI (s3://…, gs://…).

    Raises:
        InvalidInput: it holds no run, or one of a format that this version cannot read.
    """
    return Results(read_run(Folder(str(run))))


@dataclass(frozen=True, repr=False, eq=False)
class Results:
    """A run that was read. It does not change when its search goes on: `load_run` reads it anew."""

    _run: Run

    @property
    def folder(self) -> str:
        """The run directory, or its URI."""
        return str(self._run.folder)

    @property
    def verdict(self) -> str:
        """What the search came to, in one sentence."""
        return verdict(self._run)

    @property
    def threat_model(self) -> ThreatModel:
        """Norm and epsilon of the attack that the search defends against, as `trainables.evaluate_model` takes it."""
        return parse(ThreatModel, self._run.info["threat_model"], where=f"{self.folder}/run.json: threat_model")

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row for each recipe, ended or not, in the order of proposing: what recipes.parquet holds."""
        return recipes(self._run)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row for each recipe and epoch, the learning curves: what trials.parquet holds."""
        return curves(self._run)

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """One row for each recipe on the frontier, the cheapest first: what frontier.csv holds."""
        return on_frontier(self._finished, self._run).reset_index(drop=True)

    def pick(self, what: str = "knee") -> Picked:
        """Choose one finished recipe.

        Args:
            what: "knee", "parity" or "max-robust", as for `temper export --pick`; a baseline's name; or the beginning
                of an id.

        Raises:
            InvalidInput: nothing fits, or several do.
        """
        if not isinstance(what, str) or what == "all":
            raise InvalidInput(
                f"pick: got {what!r:.200}, expected {', '.join(ONE)}, a name or the beginning of an id: it chooses one "
                "recipe, and `frontier` has a row for each"
            )
        return Picked(self._run, one_trial(self._run, what, self._confirmed), self._confirmed)

    def figure(self) -> "go.Figure":
        """Draw robust accuracy against training compute, as report.html shows it: a figure of Plotly's."""
        from analysis.report.frontier_chart import frontier_figure  # late: it imports matplotlib and Plotly

        return frontier_figure(self._finished, self._run.info, least_of(self._run))

    @cached_property
    def _confirmed(self) -> Mapping[str, Confirmed]:
        return confirmed(self._run)

    @cached_property
    def _finished(self) -> pd.DataFrame:
        return finished(self._run, self._confirmed)

    def __repr__(self) -> str:
        """Return the folder, and how many recipes there are."""
        ended = sum(trial.ending is not None for trial in self._run.trials)
        there = f"{ended} of {len(self._run.trials)} recipes have ended"
        return f"{self.folder}: {there}, {len(self.frontier)} on the frontier"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the verdict, and the frontier's chief columns."""
        from html import escape

        columns = ["name", "recipe", "robust_accuracy", "clean_accuracy", compute_metric(self._run.info)]
        table = self.frontier
        shown = table[[name for name in columns if name in table]].to_html(index=False, na_rep="")
        return f"<p>{escape(self.verdict)}</p>{shown}"
