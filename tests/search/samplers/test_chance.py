"""What samplers learn from a proposal that learnt nothing: as much as from one that diverged."""

from collections.abc import Mapping

import pytest
from optuna.trial import FixedTrial, TrialState

from search.events import Outcome, Proposal
from search.samplers.ask_and_tell import OptunaSampler
from search.samplers.sampler import Candidate, Sampler, SearchState
from tests.support.made_recordings import accuracy, finite, flops
from tests.support.recipes import combinations, propose
from tests.support.searcher import sampler
from trainables.execution.ending import FINISHED, Ending, EndKind

CONSTANT = {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.03, "answers_one_class": 1, "clean_accuracy": 0.1}
BASE = {"robust_accuracy": 0.05, "clean_accuracy": 0.95}


def next_after(kind: str, strange: Outcome) -> tuple[Sampler, Candidate | None]:
    """A sampler that was told of seven ordinary proposals and a strange one, and what it asks for next."""
    study = finite(f"sampler.kind={kind}", "sampler.startup_trials=4")
    made = sampler(study)
    for number, params in enumerate(list(combinations(study))[::20][:8]):
        proposal = Proposal(propose(FixedTrial(dict(params)), study), "proposed", None, number, params)
        made.restore(proposal)
        metrics = {"robust_accuracy": accuracy(params), "train_flops": flops(params)}
        made.ended(proposal, strange if number == 3 else Outcome(FINISHED, metrics, 1.0))
    return made, made.ask(SearchState(0.5, BASE))


@pytest.mark.parametrize("kind", ["cost_aware", "tpe"])
def test_a_constant_network_counts_as_one_that_diverged(kind: str) -> None:
    def constant(changed: Mapping[str, float]) -> Outcome:
        return Outcome(FINISHED, {"robust_accuracy": 0.9, "train_flops": 1e8, **CONSTANT, **changed}, 1.0)

    made, after_constant = next_after(kind, constant({}))
    _, after_diverged = next_after(kind, Outcome(Ending(EndKind.DIVERGED, "diverged"), None, 1.0))
    assert after_constant is not None
    assert after_diverged is not None
    if isinstance(made, OptunaSampler):
        states = [trial.state for trial in made.optuna.trials]
        assert states[:8].count(TrialState.COMPLETE) == 7
        assert states[3] is TrialState.PRUNED
    assert after_constant.params == after_diverged.params
