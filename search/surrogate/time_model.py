"""Models the time that a recipe will take, so that the sampler can weigh it where the budget is one of hours."""

import numpy as np

from search.events import Listener, Outcome, Proposal, Row
from search.surrogate.gaussian_process import Array
from trainables.evaluation.metrics import own_flops
from trainables.execution.ending import State

PRIOR = 0.1  # weight of the prior, in trials


class TimeModel(Listener):
    """Predicts the seconds of a trial: a constant, a share for each epoch, and a share for each FLOP.

    The constant stands for the start of a worker and the final score, the second for data and scores of each epoch. The
    three are fitted to what the trials so far took, as far as they went, by least squares of relative errors, none of
    them below 0; a trial that took far too long, on a machine that was busy, hardly counts. A weak prior says that each
    of the three takes a third of the time.
    """

    def __init__(self) -> None:
        """Start without any trials."""
        self._last: dict[str, Row] = {}
        self._trials: list[tuple[float, float, float]] = []  # epochs, FLOPs and seconds of each that ended

    def reported(self, proposal: Proposal, row: Row, ending: object = None) -> None:
        if row.get("end_to_end_flops" if proposal.role == "base" else "train_flops") is not None:
            self._last[proposal.recipe.id] = row

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        row = self._last.pop(proposal.recipe.id, None)
        if row is not None and outcome.seconds > 0 and outcome.state is not State.FAIL:
            flops = float(row["end_to_end_flops"]) if proposal.role == "base" else own_flops(row)
            self._trials.append((float(row["epoch"]), flops, outcome.seconds))

    def seconds(self, epochs: Array, flops: Array) -> Array | None:
        """Predict how long trials keep a worker busy.

        Args:
            epochs: `(recipes,)` epochs of each.
            flops: `(recipes,)` FLOPs that it spends itself, without those of its base or teacher.

        Returns:
            `(recipes,)` in seconds, above 0; None while no trial has ended.
        """
        from scipy.optimize import nnls  # late: it is slow to import

        if not self._trials:
            return None
        done, count, spent, taken = [np.ones(len(self._trials)), *np.array(self._trials).T]
        parts = np.column_stack([done, count, spent]) / taken[:, None]
        scale = np.maximum(np.median(parts, axis=0), 1e-300)
        prior = np.sqrt(PRIOR) * np.eye(3)
        rows = np.vstack([parts / scale, prior])
        weights, _ = nnls(rows, np.r_[np.ones(len(taken)), prior.sum(axis=1) / 3])
        wanted = np.column_stack([np.ones(len(epochs)), epochs, flops])
        return np.asarray(np.maximum(wanted @ (weights / scale), 1e-3))
