"""What became of the recipes of a search, and so which ones may begin."""

from search.events import Listener, Outcome, Proposal
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe


class DependencyTracker(Listener):
    """The recipes that were proposed, and how those ended that have."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome | None] = {}
        self._lost: set[Recipe] = set()  # of what others build on

    def __contains__(self, recipe_id: str) -> bool:
        return recipe_id in self._outcomes

    def proposed(self, proposal: Proposal) -> None:
        self._outcomes[proposal.recipe.id] = None

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._outcomes[proposal.recipe.id] = outcome
        if proposal.role in ("base", "baseline") and outcome.state is not State.COMPLETE:
            self._lost.add(proposal.recipe)

    def outcome(self, recipe_id: str) -> Outcome | None:
        """How a recipe ended; None while it has not, or is not known."""
        return self._outcomes.get(recipe_id)

    def state(self, recipe_id: str) -> State | None:
        """Likewise, in a word."""
        outcome = self.outcome(recipe_id)
        return outcome.state if outcome else None

    def is_ready(self, recipe: Recipe) -> bool:
        """Whether all that it builds on is there."""
        return all(one is None or self.state(one.id) is State.COMPLETE for one in (recipe.base, recipe.teacher))

    def why_orphaned(self, recipe: Recipe) -> str | None:
        """What of that ended without weights, if anything did."""
        for one, reason in ((recipe.base, "what it starts from"), (recipe.teacher, "its teacher")):
            if one in self._lost:
                return f"{reason} did not finish"
        return None

    def is_orphaned(self, recipe: Recipe) -> bool:
        """Whether it can never run."""
        return self.why_orphaned(recipe) is not None
