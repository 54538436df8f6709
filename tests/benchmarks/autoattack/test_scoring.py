"""The figures that scores are compared with the ensemble by, on answers that are written down by hand."""

import numpy as np

from tests.benchmarks.autoattack import answers, networks
from tests.benchmarks.autoattack.scoring import Compared, interval, kendall_tau, mean_gap


def compared(ensemble: list[int], score: list[int], images: int = 100) -> Compared:
    """Networks of which so many of the images stand."""
    order = np.arange(images)
    stands, scored = (np.array([order < count for count in counts]) for counts in (ensemble, score))
    return Compared(tuple(str(count) for count in ensemble), scored, stands, (1.0,) * len(ensemble))


def test_the_gap_is_the_mean_over_networks_of_all_data() -> None:
    assert np.isclose(mean_gap([compared([50, 60], [52, 66]), compared([30], [31])]), 0.03)


def test_only_pairs_of_the_same_data_that_differ_by_one_to_five_points_count() -> None:
    """Near pairs: 50 and 51 (discordant), 51 and 56 (concordant); 50 and 56 are too far, 20 and 56 other data."""
    assert kendall_tau([compared([50, 51, 56], [55, 53, 58]), compared([52], [40])]) == (0.0, 2)
    assert kendall_tau([compared([50, 51, 56], [53, 54, 58])]) == (1.0, 2)
    assert kendall_tau([compared([50, 54], [55, 55])]) == (0.0, 1)  # equal scores: neither
    assert kendall_tau([compared([50, 60], [50, 60])])[1] == 0


def test_an_interval_holds_the_figure_and_shrinks_with_images() -> None:
    few, many = (
        compared([50, 52, 54, 56], [54, 54, 60, 58]),
        compared([500, 520, 540, 560], [540, 540, 600, 580], 1000),
    )
    widths = []
    for one in (few, many):
        low, high = interval(mean_gap, [one], draws=300)
        assert low < mean_gap([one]) < high
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_the_answers_are_of_the_weights_and_recipes_beside_them() -> None:
    found = {name: answers.read(name) for name in networks.NAMES}  # raises where weights have changed since
    recorded = {name: one for name, one in found.items() if one is not None}
    assert len(recorded) >= 16
    for name, one in recorded.items():
        assert one.recipe == networks.recipe(name).model_dump(mode="json", exclude_defaults=True)
        assert set(one.broken_by) <= set("c1234-")
        assert len(one.broken_by) <= one.images
