"""The size of a drafted study: as much as fits into the hours."""

import math
from dataclasses import replace

import pytest

from search.drafting.sizes import PLANNED, SIZES, Size, _resized, fitting
from search.preflight.estimate import START_SECONDS, Slots, estimate
from search.preflight.workload import Work
from trainables.data.config import Data
from trainables.estimation.speed import Speed
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

RECIPE = Recipe(
    data=Data(name="digits", validation_size=100),
    model=Network(name="small"),
    schedule=Schedule(epochs=1, learning_rate=0.1),
)
WORKS = [
    Work("baseline", "pgd_at", RECIPE, 1, 4e12, PLANNED.epochs, 1e5, None),
    Work("proposed", "", RECIPE, PLANNED.trials, 1e12, PLANNED.epochs / 2, 4e4, None),
]
IMAGES = 50_000


def slots(flops_per_second: float) -> list[Slots]:
    speed = Speed(flops_per_second, 0.0, 0.0, 0.0)
    return [Slots("CPU", 2, speed, speed, 1)]


def hours(flops_per_second: float, allowed: float) -> tuple[float, float]:
    size, expected = fitting(WORKS, slots(flops_per_second), IMAGES, allowed)
    return SIZES.index(size), expected


def test_the_planned_size_takes_what_its_work_is_estimated_to_take() -> None:
    expected = estimate(WORKS, slots(1e9)).hours
    size, found = fitting(WORKS, slots(1e9), IMAGES, expected * 1.000001)
    assert size == PLANNED
    assert found == pytest.approx(expected)


def test_work_grows_with_epochs_images_and_proposals() -> None:
    """28 TFLOP at 1 TFLOP/s in two slots take 14 s and the start; other sizes in proportion."""
    for size in SIZES:
        whole = (4e12 + size.trials * 1e12) * size.epochs / PLANNED.epochs * size.share
        seconds = START_SECONDS + (whole / 1e9 + 0.2 * (1 + size.trials)) / 2
        found, expected = fitting(WORKS, slots(1e9), IMAGES, seconds / 3600 * (1 + 1e-9))
        assert SIZES.index(found) <= SIZES.index(size)  # another one that does more may take less time
        assert expected <= seconds / 3600 * (1 + 1e-9)


def test_overhead_of_passes_grows_with_epochs_and_images() -> None:
    """A machine on which a FLOP costs nothing beside a pass, as a small network's does on a GPU."""
    fast = Speed(1e18, 0.0, 0.0, 0.0, 1e-9)
    alone = [Slots("CPU", 1, replace(fast, flops_per_second=1e12), replace(fast, passes_per_flop=1e-15), 1)]
    whole, half = (estimate(_resized(WORKS[:1], Size(share, 20, 24), IMAGES), alone).hours for share in (1.0, 0.5))
    assert whole - half == pytest.approx(1e5 / 2 / 1e3 / 3600, rel=1e-3)  # 1e12 FLOP/s · 1e-9 passes/FLOP


def test_more_hours_or_a_faster_machine_never_give_less() -> None:
    by_hours = [hours(1e9, allowed)[0] for allowed in (0.01, 0.1, 1, 10, 100)]
    by_speed = [hours(speed, 1.0)[0] for speed in (1e7, 1e8, 1e9, 1e10, 1e11)]
    assert by_hours == sorted(by_hours, reverse=True)
    assert by_speed == sorted(by_speed, reverse=True)
    assert by_hours[0] > by_hours[-1] == 0


def test_where_nothing_fits_it_is_the_smallest_and_its_hours_are_told() -> None:
    number, expected = hours(1e6, 0.5)
    assert number == len(SIZES) - 1
    assert expected > 0.5


def test_few_images_are_all_used() -> None:
    assert SIZES[-1].images(900) is None
    assert SIZES[-1].images(5_000) == 1_000
    assert SIZES[-1].images(60_000) == 3_000
    assert SIZES[0].images(60_000) is None
    assert all(math.isfinite(size.share) and 0 < size.share <= 1 for size in SIZES)
