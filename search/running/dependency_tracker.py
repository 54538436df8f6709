"""Tracks how the recipes of a search ended, and so which others can begin: those whose base and teacher finished."""

from search.events import Listener, Outcome, Proposal
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe


class DependencyTracker(Listener):
    """Knows the recipes that were proposed, and how they ended.

    `recipe_id in tracker` tells whether a recipe was proposed.
    """

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome | None] = {}
        self._lost: set[Recipe] = set()  # bases, baselines and confirmations that ended without weights
        self._unfinished: set[Recipe] = set()  # recipes whose process or node was lost, which a resumed search runs

    def __contains__(self, recipe_id: str) -> bool:
        return recipe_id in self._outcomes

    def proposed(self, proposal: Proposal) -> None:
        self._outcomes[proposal.recipe.id] = None

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._outcomes[proposal.recipe.id] = outcome
        if proposal.role in ("base", "baseline", "confirm") and outcome.state is not State.COMPLETE:
            self._lost.add(proposal.recipe)

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        self._unfinished.add(proposal.recipe)

    def outcome(self, recipe_id: str) -> Outcome | None:
        """Return the outcome of a recipe; None if it has not ended or was never proposed."""
        return self._outcomes.get(recipe_id)

    def state(self, recipe_id: str) -> State | None:
        """Return the state in which a recipe ended; None if it has not ended or was never proposed."""
        outcome = self.outcome(recipe_id)
        return outcome.state if outcome else None

    def is_ready(self, recipe: Recipe) -> bool:
        """Return whether a recipe can begin: its base and its teacher, if it has any, have finished."""
        return all(one is None or self.state(one.id) is State.COMPLETE for one in (recipe.base, recipe.teacher))

    def why_orphaned(self, recipe: Recipe) -> str | None:
        """Return which of a recipe's base and teacher ended without weights, in words; None if neither did."""
        for one, reason in ((recipe.base, "what it starts from"), (recipe.teacher, "its teacher")):
            if one in self._lost:
                return f"{reason} did not finish"
        return None

    def is_orphaned(self, recipe: Recipe) -> bool:
        """Return whether a recipe can never run, since its base or its teacher ended without weights."""
        return self.why_orphaned(recipe) is not None

    def must_wait(self, recipe: Recipe) -> bool:
        """Return whether a recipe cannot run before the search is resumed: its process, or one it needs, was lost."""
        needed = [one for one in (recipe.base, recipe.teacher) if one is not None]
        return recipe in self._unfinished or any(map(self.must_wait, needed))

    def is_out(self, recipe: Recipe) -> bool:
        """Return whether a recipe cannot run any more in this session."""
        return self.is_orphaned(recipe) or self.must_wait(recipe)
