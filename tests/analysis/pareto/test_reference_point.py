"""The reference point: its rule in words, what follows from results, and what lies outside its region."""

import math
from pathlib import Path

import pytest

from analysis.export.selection import pick, warnings
from analysis.pareto.parity import verdict
from analysis.pareto.reference_point import DEFAULT, ReferencePoint, outside, reference_point_of
from analysis.run.trials import read_run
from tests.support.run_directories import add, start
from trainables.config import parse
from trainables.errors import InvalidInput
from trainables.storage import Folder

NAN = math.nan


def rule(**given: object) -> ReferencePoint:
    return parse(ReferencePoint, given)


def test_by_default_a_fifth_of_the_robustness_may_be_given_up_but_not_below_the_base() -> None:
    assert DEFAULT.point(reference=0.7, base=0.1, compute=1e10) == pytest.approx([0.56, math.log10(1.1e10)])
    assert DEFAULT.point(reference=0.6, base=0.55, compute=1e10) == pytest.approx([0.55, math.log10(1.1e10)])


def test_there_is_none_without_compute_or_a_number_that_it_follows_from() -> None:
    assert DEFAULT.point(reference=0.7, base=0.1, compute=0.0) is None
    assert DEFAULT.point(reference=NAN, base=0.1, compute=1e10) is None
    assert DEFAULT.point(reference=0.7, base=NAN, compute=1e10) is None
    assert DEFAULT.point(reference=0.7, base=0.1, compute=NAN) is None


def test_a_study_says_it_in_words_or_numbers() -> None:
    half = rule(robust_accuracy="0.5 of reference", compute="0.25 of reference")
    assert half.point(reference=0.8, base=0.6, compute=4e9) == pytest.approx([0.4, 9])  # the base is not named
    absolute = rule(robust_accuracy=[0.3, "1 of base"], compute=1e8)
    assert absolute.point(reference=NAN, base=0.1, compute=1e10) == pytest.approx([0.3, 8])
    assert absolute.model_dump(mode="json") == {"robust_accuracy": [0.3, "1 of base"], "compute": 1e8}
    assert rule(**absolute.model_dump(mode="json")) == absolute
    assert DEFAULT.model_dump(mode="json") == {
        "robust_accuracy": ["0.8 of reference", "1 of base"],
        "compute": "1.1 of reference",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"robust_accuracy": "most of reference"}, "robust_accuracy.0: got 'most of reference', expected a number, or"),
        ({"robust_accuracy": "0.8 of n_fgsm"}, "got '0.8 of n_fgsm', expected a number, or a share such as"),
        ({"robust_accuracy": "1.2.3"}, "got '1.2.3', expected a number"),
        ({"robust_accuracy": True}, "got True, expected a number"),
        ({"robust_accuracy": 80}, r"got 80, expected numbers and shares in \[0, 1\]"),
        ({"robust_accuracy": []}, "robust_accuracy"),
        ({"compute": "1 of base"}, "compute: got 1 of base, expected FLOPs above 0, or a share of the reference's"),
        ({"compute": 0}, "compute: got 0, expected FLOPs above 0"),
        ({"compute": -1}, "compute"),
    ],
)
def test_nonsense_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        rule(**given)


def test_a_run_that_names_no_rule_is_bounded_by_its_base_as_it_was(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "base", role="base", robust=0.2)
    add(tmp_path, "pgd", role="baseline", robust=0.8, flops=1e10)
    assert reference_point_of(read_run(Folder(str(tmp_path)))) == pytest.approx([0.2, math.log10(1.1e10)])


def searched(root: Path, robust: dict[str, tuple[float, float]]) -> None:
    start(root, reference_point={"robust_accuracy": ["0.8 of reference", "1 of base"], "compute": "1.1 of reference"})
    add(root, "base", role="base", robust=0.1)
    add(root, "pgd", role="baseline", robust=0.8, flops=1e10)
    for number, (name, (accuracy, flops)) in enumerate(robust.items()):
        add(root, name, robust=accuracy, flops=flops, number=number)


def test_what_gives_up_too_much_or_costs_too_much_lies_outside(tmp_path: Path) -> None:
    searched(tmp_path, {"good": (0.7, 1e9), "weak": (0.64, 1e8), "dear": (0.9, 1.2e10)})
    run = read_run(Folder(str(tmp_path)))
    found = {trial.id: outside(run, trial) for trial in run.trials}
    assert found["good"] is None
    assert found["weak"] == "its robust accuracy, 0.640, is not above 0.640"
    assert found["dear"] == "its compute, 1.2e+10 FLOPs, is above 1.1e+10"


def test_the_knee_is_sought_in_the_region_and_else_says_that_it_lies_outside(tmp_path: Path) -> None:
    """Without the region, the knee of these would be the second: it has most of the robustness for a tenth."""
    inside = {"a": (0.2, 1e6), "b": (0.6, 1e7), "c": (0.7, 1e9), "d": (0.71, 9e9)}
    searched(tmp_path / "inside", inside)
    run = read_run(Folder(str(tmp_path / "inside")))
    assert [trial.id for trial in pick(run, "knee")] == ["c"]
    assert "outside" not in "".join(warnings(run, pick(run, "knee"), {}))
    searched(tmp_path / "outside", {name: inside[name] for name in "ab"})
    run = read_run(Folder(str(tmp_path / "outside")))
    (chosen,) = pick(run, "knee")
    found, line = warnings(run, [chosen], {})
    assert "found, not confirmed" in found
    assert "outside the region that the study asks for: its robust accuracy" in line


def test_a_verdict_on_what_lies_outside_says_so(tmp_path: Path) -> None:
    searched(tmp_path / "outside", {"a": (0.5, 1e8)})
    outside_of_it = verdict(read_run(Folder(str(tmp_path / "outside"))))
    assert outside_of_it.endswith(
        "It lies outside the region that the study asks for: its robust accuracy, 0.500, is not above 0.640."
    )
    searched(tmp_path / "inside", {"a": (0.7, 1e8)})
    assert "outside" not in verdict(read_run(Folder(str(tmp_path / "inside"))))


def test_of_the_regions_ends_the_compute_lies_inside_and_the_robust_accuracy_outside(tmp_path: Path) -> None:
    start(tmp_path, reference_point={"robust_accuracy": 0.5, "compute": "1 of reference"})
    add(tmp_path, "base", role="base", robust=0.1, flops=0.0)
    add(tmp_path, "pgd", role="baseline", robust=0.8, flops=1e10)
    add(tmp_path, "as_dear", robust=0.6, flops=1e10)
    add(tmp_path, "as_weak", robust=0.5, flops=1e9)
    run = read_run(Folder(str(tmp_path)))
    found = {trial.id: outside(run, trial) for trial in run.trials if trial.role == "proposed"}
    assert found == {"as_dear": None, "as_weak": "its robust accuracy, 0.500, is not above 0.500"}
