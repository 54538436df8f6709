"""One hypervolume under one name: what a search shows while it runs is what its record comes to."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from analysis.pareto.hypervolume import hypervolume_history
from analysis.run.trials import State, read_run
from search.events import Outcome, Proposal
from search.monitoring.hypervolume import Hypervolume
from search.study.constraints import Bound
from tests.support.run_directories import start, worked_example
from trainables.storage import Folder

DEAR = Bound(metric="train_flops", at_least=False, bound=1e9)
OF_DENSE = Bound(metric="inference_macs", at_least=False, bound=0.5, of_dense=True)


@pytest.mark.parametrize("constraints", [(), (DEAR,), (OF_DENSE,)])
def test_a_live_search_and_its_record_show_the_same_hypervolume(tmp_path: Path, constraints: tuple[Bound, ...]) -> None:
    worked_example(tmp_path)
    start(tmp_path, constraints=[one.model_dump() for one in constraints])
    run = read_run(Folder(str(tmp_path)))
    live = Hypervolume(base="base", reference="pgd", compute="train_flops", constraints=constraints)
    shown = []
    for trial in run.trials:  # here in the order of finishing, too
        recipe, role = cast(Any, SimpleNamespace(id=trial.id)), cast(Any, trial.role)
        metrics = trial.metrics or None
        if trial.state is not State.RUNNING:
            live.ended(Proposal(recipe, role, None, trial.number), Outcome(trial.state, None, metrics, 1.0))
        if role == "proposed" and metrics:
            shown.append(live.of_first(live.finished))
    assert shown == hypervolume_history(run)["hypervolume"].tolist()
    assert len(shown) == 2
    assert (shown[0] == shown[1]) == bool(constraints)  # the second proposal breaks either constraint, or gains


def test_there_is_none_before_base_and_reference_have_finished() -> None:
    live = Hypervolume(base="base", reference="pgd", compute="train_flops")
    metrics = {"robust_accuracy": 0.5, "train_flops": 1e9}
    for name, role in (("a", "proposed"), ("base", "base")):
        proposal = Proposal(cast(Any, SimpleNamespace(id=name)), cast(Any, role), None, 0)
        live.ended(proposal, Outcome(State.COMPLETE, None, metrics, 1.0))
        assert live.of_first(live.finished) is None
