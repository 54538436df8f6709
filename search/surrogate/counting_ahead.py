"""Counts the networks that proposals may have before they are asked for, so that a search's driver need not pause."""

import threading
from collections.abc import Callable
from typing import Self

import numpy as np

from search.events import Listener, Outcome, Proposal
from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.study.study import Study
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe

DRAWN = 500  # random proposals, which need nearly all networks that a sampler's candidates can need


class CountingAhead(Listener):
    """Counts networks in a thread of the driver, once the study's own base has finished.

    A cost-aware sampler asks for the compute of a thousand candidates at once. Counting their networks takes up to a
    minute where they are large, in which the driver would hear nothing from its trials. What is counted here is kept by
    the cost model, so the sampler should be asked when this is `ready`.

    Use it as a context manager around the search. Leaving it waits for the network that is being counted and counts no
    other: Python aborts a process that ends while another of its threads is inside PyTorch.
    """

    def __init__(self, study: Study, fixed: FixedRecipes, costs: Callable[[Recipe], object]) -> None:
        """Makes a counter that waits for the base.

        Args:
            study: the study.
            fixed: its fixed recipes.
            costs: plans a recipe and keeps what it counted; it is called in another thread.
        """
        self._study, self._fixed, self._costs = study, fixed, costs
        self._thread: threading.Thread | None = None
        self._left = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._left.set()
        if self._thread is not None:
            self._thread.join()

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if self._thread is None and outcome.state is State.COMPLETE and proposal.recipe == self._fixed.base.recipe:
            self._thread = threading.Thread(target=self._count, name="counting-ahead")
            self._thread.start()

    def ready(self) -> bool:
        """Returns whether all has been counted; it has not before the base has finished."""
        return self._thread is not None and not self._thread.is_alive()

    def _count(self) -> None:
        rng = np.random.default_rng(self._study.seed)
        drawn = (propose(RandomChooser(rng), self._study, self._fixed) for _ in range(DRAWN))
        for recipe in (self._fixed.reference.recipe, *drawn):
            if self._left.is_set():
                return
            try:
                self._costs(recipe)
            except Exception:  # the sampler meets it again, in the driver's own thread, which says so
                return
