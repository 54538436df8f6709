"""What is said before a confirmation: hours by hand, and what the images leave open."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from analysis.run.trials import Trial
from search.confirm.contenders import Contender
from search.confirm.forecast import hours, precision, seconds_per_flop
from search.confirm.plan import Plan
from tests.search.confirm.test_contenders import PLAIN, recipe
from tests.support.run_directories import worked_example
from trainables.assessment.attack_record import AttackSetting
from trainables.ensemble.ensemble import BLACK_BOX, ENSEMBLES, passes_at_most
from trainables.evaluation.config import ThreatModel

THREAT = ThreatModel(epsilon=0.2)
PICK, REFERENCE = Contender("recipe abc", "pick", recipe(seed=1)), Contender("pgd", "against", recipe(seed=2))
OPPONENTS = [Contender(f"fast {form}", "opponent", recipe(), "recipe abc") for form in ("dense", "pruned")]


def plan(*seeds: int, margin: float = 0.01) -> Plan:
    return Plan((PICK, REFERENCE), seeds, AttackSetting(THREAT, "quick", None), margin)


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Trial]:
    """The pick gives another answer than the reference for a tenth of 1,000 images, half of them for the better."""
    first, second = worked_example(tmp_path).trials[1:3]
    theirs = np.arange(1000) < 700
    ours = theirs.copy()
    ours[:50], ours[-50:] = False, True
    return {
        PICK.recipe.id: replace(
            first,
            robust_correct=ours,
            metrics={"end_to_end_flops": 1e9, "train_flops": 1e9, "inference_macs": 1e6, "device_seconds": 2.0},
        ),
        REFERENCE.recipe.id: replace(
            second,
            robust_correct=theirs,
            metrics={"end_to_end_flops": 9e9, "train_flops": 9e9, "inference_macs": 4e6, "device_seconds": 8.0},
        ),
    }


def test_hours_are_those_of_every_training_and_of_images_that_stand_to_the_last(found: dict[str, Trial]) -> None:
    passes = passes_at_most(ENSEMBLES["quick"], THREAT)
    assert passes == 20 + (1 + 3 * 3) + 3 * (20 + 2)  # PGD; classes by distance; three classes, each with its ends
    training, attacks = hours(plan(1, 2, 3), [OPPONENTS], found, 500, 1e-9)
    # Three seeds of both; of the opponents each once, and the best with three seeds, all at the pick's compute.
    assert training * 3600 == pytest.approx(3 * (1 + 9) + 2 + 3)
    assert attacks * 3600 == pytest.approx(
        3 * 500 * passes * 2 * 2 * (1e6 + 4e6 + 4e6) * 1e-9
    )  # the opponent may be dense
    rounded = dict(found)
    rounded[PICK.recipe.id] = replace(found[PICK.recipe.id], recipe={"quantization": {"weight_bits": 4}})
    _, more = hours(plan(1, 2, 3), [OPPONENTS], rounded, 500, 1e-9)
    queries = passes_at_most(BLACK_BOX["quick"], THREAT)  # of the deployed file, forward alone
    assert (more - attacks) * 3600 == pytest.approx(3 * 500 * queries * 2 * 1e6 * 1e-9)
    without, _ = hours(plan(1, 2, 3), [], found, 500, 1e-9)
    assert without * 3600 == pytest.approx(30)


def test_a_base_that_picks_share_is_trained_once_a_seed(tmp_path: Path) -> None:
    base, _, _, trial, *_ = worked_example(tmp_path).trials
    first, second = (recipe(base=PLAIN, seed=seed) for seed in (1, 2))
    assert first.base is not None
    assert base.metrics["end_to_end_flops"] == 1e8
    trained = {
        first.base.id: replace(base, recipe=first.base.model_dump(mode="json")),
        first.id: trial,
        second.id: trial,
    }
    both = replace(plan(1, 2, 3), contenders=(Contender("a", "pick", first), Contender("b", "pick", second)))
    training, _ = hours(both, [], trained, 500, 1e-9)
    assert training * 3600 == pytest.approx(3 * (0.1 + 2 * 0.4))


def test_seconds_a_flop_are_those_of_all_trainings_together(tmp_path: Path, found: dict[str, Trial]) -> None:
    run = worked_example(tmp_path)
    assert seconds_per_flop(run) is None
    assert seconds_per_flop(replace(run, trials=tuple(found.values()))) == pytest.approx(10.0 / 10e9)


def test_what_images_leave_open_is_said_before_hours_of_work(found: dict[str, Trial]) -> None:
    width = NormalDist().inv_cdf(0.95) * math.sqrt(0.1 / 400)
    (line,) = precision(plan(1, 2, 3), found, 400)
    assert line == (
        f"recipe abc against pgd: 400 images alone leave a difference open by about ±{100 * width:.1f} points, "
        f"whatever the seeds, so that only one that is {100 * (width - 0.01):.1f} points better can be found at "
        "parity within 1"
    )
    (wide,) = precision(plan(1, 2, 3, margin=0.05), found, 400)
    assert "so that equal ones can be found at parity within 5" in wide
    first, _ = precision(plan(1, 2), found, 400)
    assert first.startswith("2 seeds never decide")
    assert precision(plan(1, 2, 3), {}, 400) == []
    (shared,) = precision(plan(1, 2, 3), found, 400, opponents=1)  # two comparisons share what may err
    assert f"±{100 * NormalDist().inv_cdf(0.975) * math.sqrt(0.1 / 400):.1f} points" in shared


def test_networks_that_answer_alike_still_leave_open_what_the_images_do(found: dict[str, Trial]) -> None:
    alike = found | {
        PICK.recipe.id: replace(found[PICK.recipe.id], robust_correct=found[REFERENCE.recipe.id].robust_correct)
    }
    (line,) = precision(plan(1, 2, 3), alike, 100)
    assert f"±{100 * (1 - 0.05 ** (1 / 100)):.1f} points" in line
    assert "only one that is" in line
