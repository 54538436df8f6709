"""What was confirmed, as a run directory tells it: read back, in export, status, tables and the report."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.evidence.comparisons import comparisons, confirmed
from analysis.evidence.conditions import conditions_of, conditions_table
from analysis.evidence.confirmation import read_confirmations
from analysis.evidence.crossed import estimate
from analysis.evidence.verdict import bounds
from analysis.evidence.words import as_json, progress, sentences, status_lines
from analysis.export.recipes import record
from analysis.export.selection import picks, warnings
from analysis.report.epsilon_curves import draw_epsilon_curves_png
from analysis.report.report import write_report
from analysis.run.trials import Run, read_run
from tests.support.confirmations import FAST, PICK, REFERENCE, SEEDS, confirm, confirmed_run
from tests.support.run_directories import add, worked_example
from trainables.errors import InvalidInput
from trainables.storage import Folder


def again(root: Path) -> Run:
    return read_run(Folder(str(root)))


def test_it_is_read_as_far_as_it_got_and_a_torn_plan_is_left_out(tmp_path: Path) -> None:
    run = confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    (tmp_path / "confirm" / "2").mkdir()
    (tmp_path / "confirm" / "2" / "plan.json").write_text("{torn")
    (tmp_path / "trials" / "a_1003" / "attack-standard-linf-0.2-all.json").write_text("{torn")
    (tmp_path / "trials" / "pgd_1000" / "outcome.json").unlink()
    (one,) = read_confirmations(again(tmp_path))
    assert len(one.results) == 16
    assert {(PICK, 1003), ("pgd_at_20", 1000)}.isdisjoint(one.results)
    assert [trial.id for trial in run.trials] == [trial.id for trial in worked_example(tmp_path / "other").trials]


def test_what_has_no_seed_is_confirmed_by_the_searchs_own_trial(tmp_path: Path) -> None:
    """Such as a base that is a file of weights."""
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    plan = json.loads((tmp_path / "confirm" / "1" / "plan.json").read_text())
    for one in plan["contenders"]:
        if one["name"] == REFERENCE:
            one["trials"] = dict.fromkeys(one["trials"], "pgd")
    (tmp_path / "confirm" / "1" / "plan.json").write_text(json.dumps(plan))
    for name in ("attack-standard-linf-0.2-all.json", "conditions-linf-0.2-all.json"):
        (tmp_path / "trials" / "pgd_1000" / name).rename(tmp_path / "trials" / "pgd" / name)
    (one,) = read_confirmations(again(tmp_path))
    assert [trial.id for trial, _ in one.of(next(each for each in one.entries if each.name == REFERENCE))] == [
        "pgd"
    ] * 6


def test_of_several_confirmations_the_strongest_counts(tmp_path: Path) -> None:
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    confirm(tmp_path, 0.6, 0.7, 0.5, number=2, attack="quick")
    found = confirmed(again(tmp_path))
    assert (found["a"].number, found["a"].parity, found["a"].seeds) == (1, "yes", 6)
    assert found["a"].low < found["a"].robust_accuracy < found["a"].high
    assert found["a"].robust_accuracy == pytest.approx(0.7)
    assert found["pgd"].parity is None
    confirm(tmp_path, 0.6, 0.7, 0.5, number=3, attack="full")
    assert confirmed(again(tmp_path))["a"].parity == "no"


def test_its_interval_leaves_a_fortieth_out_on_each_side(tmp_path: Path) -> None:
    run = confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    (one,) = read_confirmations(run)
    level = estimate(one.robust(next(entry for entry in one.entries if entry.name == PICK)))
    assert (confirmed(run)["a"].low, confirmed(run)["a"].high) == bounds(level, 0.025, least=0.0, most=1.0)


def test_bounds_are_those_of_all_planned_comparisons_while_one_is_not_through(tmp_path: Path) -> None:
    (both,) = read_confirmations(confirmed_run(tmp_path / "both", 0.7, 0.7, 0.5))
    confirmed_run(tmp_path / "one", 0.7, 0.7, 0.5)
    for attack in (tmp_path / "one").glob("trials/fast_a_*/attack-*.json"):
        attack.unlink()
    (one,) = read_confirmations(again(tmp_path / "one"))
    assert [len(comparisons(of)) for of in (both, one)] == [2, 1]
    assert comparisons(one)[0].verdict.low == comparisons(both)[0].verdict.low


def test_a_later_confirmation_that_says_nothing_of_parity_leaves_the_answer_as_it_was(tmp_path: Path) -> None:
    """One that did not hold the pick against the reference, or is not through with it; such a pick was shipped once."""
    confirmed_run(tmp_path, 0.6, 0.7, 0.5)
    assert confirmed(again(tmp_path))["a"].parity == "no"
    confirm(tmp_path, 0.6, 0.7, 0.5, number=2)
    path = tmp_path / "confirm" / "2" / "plan.json"
    plan = json.loads(path.read_text())
    path.write_text(json.dumps(plan | {"contenders": [one for one in plan["contenders"] if one["part"] != "against"]}))
    found = confirmed(again(tmp_path))["a"]
    assert (found.number, found.parity) == (2, "no")
    confirm(tmp_path, 0.65, 0.7, 0.5, number=3, attack="full")
    for attack in tmp_path.glob("trials/pgd_*/attack-full-*.json"):
        attack.unlink()
    found = confirmed(again(tmp_path))["a"]
    assert (found.number, found.parity, round(found.robust_accuracy, 3)) == (3, "no", 0.65)


def test_results_on_other_test_images_are_not_compared(tmp_path: Path) -> None:
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    for attack in tmp_path.glob("trials/pgd_*/attack-*.json"):
        attack.write_text(json.dumps(json.loads(attack.read_text()) | {"images": "others"}))
    (one,) = read_confirmations(again(tmp_path))
    assert (one.images, {name for name, _ in one.results}) == ("images", {PICK, FAST})  # what most are of
    path = tmp_path / "confirm" / "1" / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images": "others"}))
    (one,) = read_confirmations(again(tmp_path))
    assert {name for name, _ in one.results} == {REFERENCE}


def failed(root: Path, name: str, kind: str, reason: str) -> None:
    path = root / "trials" / name / "outcome.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state": "pruned", "kind": kind, "reason": reason}))


def test_a_training_that_came_to_nothing_is_said_and_leaves_no_verdict(tmp_path: Path) -> None:
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    failed(tmp_path, "fast_a_1001", "overfitted", "catastrophic overfitting in epoch 3")
    (one,) = read_confirmations(again(tmp_path))
    assert progress(one).endswith("17 of 18 networks attacked, 1 has come to nothing")
    verdict, without, bounds = sentences(one)
    assert verdict.startswith("Recipe a reaches 0.700 against pgd_at_20's 0.700")
    assert without == (
        f"No verdict on {PICK} against {FAST}: training came to nothing, {FAST} with seed 1001: catastrophic "
        "overfitting in epoch 3."
    )
    assert "95% for all 2 comparisons together" in bounds  # as planned: bounds must not narrow since a seed failed
    assert status_lines(again(tmp_path))[1] == f"confirmation 1: {without}"


def test_of_transfers_a_confirmation_shows_its_own(tmp_path: Path) -> None:
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    for path in tmp_path.glob("trials/a_*/conditions-*.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"transfers": content["transfers"] | {"of another": 0.5}}))
    (one,) = read_confirmations(again(tmp_path))
    assert [found.name for found in conditions_of(one) if found.name.startswith("from")] == [
        "from base", f"from {REFERENCE}"
    ]  # fmt: skip


def test_a_reference_at_chance_is_no_yardstick(tmp_path: Path) -> None:
    """Whatever is held against it: parity with nothing is nothing, and neither is being better."""
    confirmed_run(tmp_path, 0.5, 0.01, 0.0)
    for path in tmp_path.glob("trials/*_100?/outcome.json"):
        outcome = json.loads(path.read_text())
        outcome["metrics"] |= {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.01}
        path.write_text(json.dumps(outcome))
    run = again(tmp_path)
    (line,) = status_lines(run)
    assert "no verdict, pgd_at_20 is no better than chance (0.010, of which 0.120 are within chance)" in line
    assert ": better)" in line  # than the fast opponent, which it may well be
    assert confirmed(run)["a"].parity == "undecided"


def test_further_looks_at_a_comparison_are_counted_and_told(tmp_path: Path) -> None:
    confirmed_run(tmp_path, 0.68, 0.7, 0.5, spread=0.03)
    confirm(tmp_path, 0.68, 0.7, 0.5, spread=0.03, number=2, seeds=(*SEEDS, 1006, 1007))
    first, second = read_confirmations(again(tmp_path))
    assert first.looks == {}
    assert second.looks["a", "pgd"] == second.looks["a", "fast_a"] == 1
    assert not any("looked at before" in line for line in sentences(first))
    assert "2 of 2 comparisons had been looked at before." in " ".join(sentences(second))


def test_what_breaks_a_constraint_is_not_at_parity(tmp_path: Path) -> None:
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    bound = {"text": "train_flops <= 1", "metric": "train_flops", "at_least": False, "bound": 1.0, "of_dense": False}
    info = json.loads((tmp_path / "run.json").read_text()) | {"constraints": [bound]}
    (tmp_path / "run.json").write_text(json.dumps(info))
    run = again(tmp_path)
    with pytest.raises(InvalidInput, match="nothing to pick, no finished proposal"):
        picks(run, ["parity"], confirmed(run))
    told, *others = warnings(run, [trial for trial in run.trials if trial.id == "a"], confirmed(run))
    assert told.endswith("at parity")
    assert others[-1].endswith(": breaks a constraint of the study")


def test_parity_takes_the_cheapest_that_is_confirmed(tmp_path: Path) -> None:
    run = confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    proven = confirmed(run)
    with pytest.raises(InvalidInput, match="parity needs the reference"):
        picks(run, ["parity"])  # what was found has no answers by image, and so no bound
    chosen = picks(run, ["parity"], proven)
    assert [trial.id for trial in chosen] == ["a"]
    (line,) = warnings(run, chosen, proven)
    assert line.endswith(
        f": confirmed: 0.700 ({proven['a'].low:.3f} to {proven['a'].high:.3f}) with 6 fresh seeds, at parity"
    )
    assert record(run, chosen[0], proven)["confirmed"]["parity"] == "yes"
    assert "confirmed" not in record(run, chosen[0])


def found_at_parity(root: Path) -> None:
    """The worked example, in which the search has found trial `a` to be as robust as the reference."""
    worked_example(root)
    for name, role, flops in (("pgd", "baseline", 1e10), ("a", "proposed", 4e8)):
        add(root, name, role=role, number=1, robust=0.8, flops=flops, correct=[True] * 80 + [False] * 20)


def test_what_a_confirmation_refutes_is_not_taken(tmp_path: Path) -> None:
    found_at_parity(tmp_path)
    assert [trial.id for trial in picks(again(tmp_path), ["parity"])] == ["a"]
    confirm(tmp_path, 0.6, 0.7, 0.5)
    run = again(tmp_path)
    with pytest.raises(InvalidInput, match="no proposal on the frontier is at parity"):
        picks(run, ["parity"], confirmed(run))
    assert [trial.id for trial in picks(run, ["parity"])] == ["a"]  # by what was found: confirming goes on with it


def test_numbers_that_cannot_be_trusted_confirm_nothing(tmp_path: Path) -> None:
    found_at_parity(tmp_path)
    confirm(tmp_path, 0.7, 0.7, 0.5, unreliable=("its gradients are zero",))
    run = again(tmp_path)
    (line,) = warnings(run, picks(run, ["parity"], confirmed(run)), confirmed(run))
    assert line.endswith("at parity, UNRELIABLE: its gradients are zero")


def test_what_is_only_found_is_called_so(tmp_path: Path) -> None:
    run = confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    (line,) = warnings(run, [trial for trial in run.trials if trial.id == "b"], confirmed(run))
    assert "found, not confirmed: one seed" in line
    assert f"`temper confirm {run.folder} --pick b`" in line


def test_status_says_what_was_confirmed_or_how_far_it_is(tmp_path: Path) -> None:
    (line,) = status_lines(confirmed_run(tmp_path, 0.7, 0.7, 0.5))
    assert line.startswith("confirmation 1: Recipe a reaches 0.700 against pgd_at_20's 0.700 under the ensemble")
    for path in tmp_path.glob("trials/pgd_*/outcome.json"):
        path.unlink()
    (line,) = status_lines(again(tmp_path))
    assert line == "confirmation 1 (6 fresh seeds, the ensemble): 12 of 18 networks attacked"
    assert status_lines(worked_example(tmp_path / "other")) == []


def test_status_says_how_far_it_is_beside_the_first_verdicts(tmp_path: Path) -> None:
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    (tmp_path / "trials" / "fast_a_1001" / "outcome.json").unlink()
    verdict, how_far = status_lines(again(tmp_path))
    assert verdict.startswith("confirmation 1: Recipe a reaches 0.700 against pgd_at_20's 0.700")
    assert how_far == "confirmation 1 (6 fresh seeds, the ensemble): 17 of 18 networks attacked"


def test_of_what_cost_nothing_no_share_is_told(tmp_path: Path) -> None:
    """As of the ordinary base, whose marginal compute is 0."""
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    for path in tmp_path.glob("trials/pgd_100?/outcome.json"):
        outcome = json.loads(path.read_text())
        outcome["metrics"]["train_flops"] = 0.0
        path.write_text(json.dumps(outcome))
    (line,) = status_lines(again(tmp_path))
    assert "for an unknown share of its marginal training compute (" in line
    assert "nan" not in line


def test_report_and_tables_keep_found_and_confirmed_apart(tmp_path: Path) -> None:
    write_report(worked_example(tmp_path))
    before = pd.read_csv(tmp_path / "frontier.csv")
    assert "Found, not confirmed" in (tmp_path / "report.html").read_text()
    confirm(tmp_path, 0.7, 0.7, 0.5)
    write_report(again(tmp_path))
    after = pd.read_csv(tmp_path / "frontier.csv")
    assert after[before.columns].equals(before)
    row = after.set_index("id").loc["a"]
    assert row["robust_accuracy"] == 0.6
    assert (row["confirmed_robust_accuracy"], row["confirmed_seeds"]) == (pytest.approx(0.7), 6)
    assert (row["confirmed_parity"], row["confirmed_reliable"]) == ("yes", True)
    assert after.set_index("id").loc["b"].filter(like="confirmed").isna().all()
    page = (tmp_path / "report.html").read_text()
    assert "Recipe a reaches 0.700 against pgd_at_20&#39;s 0.700 under the ensemble" in page
    assert "6 of 6" in page
    assert (tmp_path / "confirm" / "1" / "verdict.json").exists()
    assert "Under other conditions" in page
    assert (tmp_path / "confirm" / "1" / "epsilon_curves.png").read_bytes()[:4] == b"\x89PNG"


def test_conditions_are_means_over_seeds_and_show_what_is_lost(tmp_path: Path) -> None:
    (one,) = read_confirmations(confirmed_run(tmp_path, 0.7, 0.8, 0.5))
    found = {each.name: each.accuracies for each in conditions_of(one)}
    assert found["clean"] == pytest.approx({PICK: 1.0, REFERENCE: 1.0, FAST: 1.0})
    assert found["ε 0.2 (×1)"] == pytest.approx({PICK: 0.7, REFERENCE: 0.8, FAST: 0.5})
    assert found["L2 ε 0.9"] == pytest.approx({PICK: 0.7, REFERENCE: 0.8, FAST: 0.5})
    assert found["corrupted (mean)"] == found["noise"] == pytest.approx({PICK: 0.8, REFERENCE: 0.8, FAST: 0.8})
    assert found[f"from {REFERENCE}"] == pytest.approx({PICK: 0.75, FAST: 0.75})
    head, first, second, *_ = conditions_table(one)
    assert "noise" not in head
    assert "0.700 (−0.30)" in first
    assert second.rstrip().endswith("0.800 (−0.20)  0.800 (−0.20)")  # nobody transfers to itself
    assert as_json(one)["conditions"]["clean"][PICK] == 1.0
    for path in tmp_path.glob("trials/*/conditions-*.json"):
        path.unlink()
    (bare,) = read_confirmations(again(tmp_path))
    assert conditions_table(bare) == []
    assert draw_epsilon_curves_png(bare) is None
