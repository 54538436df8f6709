"""One hypervolume under one name: what a search shows while it runs is what its record comes to."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from analysis.pareto.growth import hypervolume_history
from analysis.pareto.reference_point import BEFORE
from analysis.run.trials import read_run
from search.events import Outcome, Proposal
from search.monitoring.hypervolume import Hypervolume
from search.study.constraints import Bound
from tests.support.run_directories import start, worked_example
from trainables.execution.ending import FINISHED
from trainables.storage import Folder

DEAR = Bound(metric="train_flops", at_least=False, bound=1e9)
OF_DENSE = Bound(metric="inference_macs", at_least=False, bound=0.5, of_dense=True)


@pytest.mark.parametrize("constraints", [(), (DEAR,), (OF_DENSE,)])
def test_a_live_search_and_its_record_show_the_same_hypervolume(tmp_path: Path, constraints: tuple[Bound, ...]) -> None:
    worked_example(tmp_path)
    start(tmp_path, constraints=[one.model_dump() for one in constraints])
    run = read_run(Folder(str(tmp_path)))
    live = Hypervolume(base="base", reference="pgd", compute="train_flops", rule=BEFORE, constraints=constraints)
    shown = []
    for trial in run.trials:  # here in the order of finishing, too
        recipe, role = cast(Any, SimpleNamespace(id=trial.id)), cast(Any, trial.role)
        metrics = trial.metrics or None
        if trial.ending is not None:
            live.ended(Proposal(recipe, role, None, trial.number), Outcome(trial.ending, metrics, 1.0))
        if role == "proposed" and metrics:
            shown.append(live.of_first(live.finished))
    assert shown == hypervolume_history(run)["hypervolume"].tolist()
    assert len(shown) == 2
    assert (shown[0] == shown[1]) == bool(constraints)  # the second proposal breaks either constraint, or gains


def test_a_proposal_that_is_no_better_than_chance_adds_nothing() -> None:
    live = Hypervolume(base="base", reference="pgd", compute="train_flops")
    level = {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.03, "answers_one_class": 0, "clean_accuracy": 0.9}
    good = {"robust_accuracy": 0.5, "train_flops": 1e8, **level}
    ended = [("base", good | {"robust_accuracy": 0.0}), ("pgd", good | {"train_flops": 1e10})]
    ended += [("proposed", good), ("proposed", good | {"answers_one_class": 1, "robust_accuracy": 0.9})]
    for name, metrics in ended:
        proposal = Proposal(cast(Any, SimpleNamespace(id=name)), cast(Any, name), None, 0)
        live.ended(proposal, Outcome(FINISHED, metrics, 1.0))
    assert live.finished == 2
    assert live.of_first(2) == live.of_first(1)
    assert (live.of_first(1) or 0) > 0


def test_there_is_none_before_base_and_reference_have_finished() -> None:
    live = Hypervolume(base="base", reference="pgd", compute="train_flops")
    metrics = {"robust_accuracy": 0.5, "train_flops": 1e9}
    for name, role in (("a", "proposed"), ("base", "base")):
        proposal = Proposal(cast(Any, SimpleNamespace(id=name)), cast(Any, role), None, 0)
        live.ended(proposal, Outcome(FINISHED, metrics, 1.0))
        assert live.of_first(live.finished) is None


def test_proposals_that_finish_before_the_reference_count_once_it_has() -> None:
    good = {"robust_accuracy": 0.5, "train_flops": 1e8}
    ended = [("a", good), ("base", good | {"robust_accuracy": 0.0}), ("b", good | {"train_flops": 1e7})]
    live, ordered = (Hypervolume(base="base", reference="pgd", compute="train_flops") for _ in range(2))
    reference = ("pgd", good | {"train_flops": 1e10})
    for one, names in ((live, [*ended, reference]), (ordered, [ended[1], reference, ended[0], ended[2]])):
        for name, metrics in names:
            role = "proposed" if name in "ab" else name
            proposal = Proposal(cast(Any, SimpleNamespace(id=name)), cast(Any, role), None, 0)
            one.ended(proposal, Outcome(FINISHED, metrics, 1.0))
            one.of_first(one.finished)  # asked at every ending, as by the monitor
    assert [live.of_first(count) for count in range(3)] == [ordered.of_first(count) for count in range(3)]
    assert live.of_first(0) == 0
    assert 0 < (live.of_first(1) or 0) < (live.of_first(2) or 0)
