"""What the surrogate makes of whole and of partial schedules."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from search.surrogate.gaussian_process import GaussianProcess, Observation, prior_lengths, sampling_variance


def truth(x: float, y: float) -> float:
    return 0.3 + 0.3 * x + 0.2 * math.sin(3 * y)


def places(count: int, seed: int) -> list[dict[str, float]]:
    return [{"x": float(x), "y": float(y)} for x, y in np.random.default_rng(seed).random((count, 2))]


def test_a_handful_of_observations_does_not_make_it_sure() -> None:
    fresh = [{"x": float(x), "y": float(y), "z": float(z)} for x, y, z in np.random.default_rng(1).random((50, 3))]
    wrong = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        few = [{"x": float(x), "y": float(y), "z": float(z)} for x, y, z in rng.random((8, 3))]
        seen = [Observation(one, 1.0, truth(one["x"], one["y"]) + 0.1 * float(rng.normal())) for one in few]
        mean, deviation = GaussianProcess(seen).predict(seen, fresh)
        wrong.append(np.square((mean - [truth(one["x"], one["y"]) for one in fresh]) / deviation))
    assert np.mean(wrong) < 4  # 1 if it knew all; by likelihood alone it is 10


def test_what_observations_say_nothing_about_keeps_the_middle_of_its_prior() -> None:
    here = {"x": 0.3, "y": 0.7}
    surrogate = GaussianProcess([Observation(here, 1.0, 0.4), Observation(here, 1.0, 0.6)])
    assert surrogate.lengths == pytest.approx({"x": 1.0, "y": 1.0, "share": 1.0}, rel=1e-4)


def test_many_alternatives_have_longer_lengths_so_that_recipes_of_many_choices_tell_of_each_other() -> None:
    """Six choices among five, whose effects add up: 40 scores tell of all 15,625 recipes."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(6, 5))

    def features(recipe: NDArray[np.int64]) -> dict[str, float]:
        return {f"{name}={one}": float(one == chosen) for name, chosen in enumerate(recipe) for one in range(5)}

    def score(recipe: NDArray[np.int64]) -> float:
        return float(sum(effects[name, chosen] for name, chosen in enumerate(recipe)))

    assert prior_lengths(["b=0", "b=1", *(f"c={one}" for one in range(5)), "x"]).tolist() == [1, 1, *[2.5] * 5, 1]
    recipes = rng.integers(0, 5, (140, 6))
    seen = [Observation(features(one), 1.0, score(one)) for one in recipes[:40]]
    mean, _ = GaussianProcess(seen).predict(seen, [features(one) for one in recipes[40:]])
    assert np.corrcoef(mean, [score(one) for one in recipes[40:]])[0, 1] > 0.9  # .72 with lengths of 1


def test_a_smooth_function_is_interpolated_with_an_honest_deviation() -> None:
    seen = [Observation(place, 1.0, truth(**place)) for place in places(40, 0)]
    surrogate, fresh = GaussianProcess(seen), places(50, 1)
    mean, deviation = surrogate.predict(seen, fresh)
    assert np.abs(mean - [truth(**place) for place in fresh]).max() < 0.02
    corner = [one for one in seen if one.features["x"] < 0.5]  # seen in one half only
    near, far = surrogate.predict(corner, [{"x": 0.25, "y": 0.5}, {"x": 1.0, "y": 0.5}])[1]
    assert far > 3 * near
    assert mean.shape == deviation.shape == (50,)
    assert (deviation > 0).all()


def test_predictions_are_those_of_a_process_in_closed_form() -> None:
    """With two observations, of which the variances differ, and scores that are normalized."""
    seen = [Observation({"x": 0.0}, 1.0, 0.2, 0.001), Observation({"x": 1.0}, 1.0, 0.6, 0.0)]
    surrogate, there = GaussianProcess(seen), [{"x": 0.25}, {"x": 1.0}]
    kernel, noise, spread = surrogate._kernel, surrogate.noise, 0.2
    at, fresh = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[0.25, 1.0], [1.0, 1.0]])
    inverse = np.linalg.inv(kernel(at) + np.diag([0.001 / spread**2, 1e-10]))
    across, prior = kernel(fresh, at), kernel.k1(fresh) + noise * np.eye(2)
    covariance = spread**2 * (prior - across @ inverse @ across.T - noise * np.eye(2))
    for mean, told in (
        (surrogate.predict(seen, there)[0], np.sqrt(np.diag(covariance))),
        (surrogate.predict_jointly(seen, there)[0], covariance),
    ):
        assert mean == pytest.approx(0.4 + spread * across @ inverse @ [-1.0, 1.0])
        which = surrogate.predict if told.ndim == 1 else surrogate.predict_jointly
        assert which(seen, there)[1] == pytest.approx(told, rel=1e-6)


def test_what_it_predicts_is_a_function_of_what_it_is_given() -> None:
    seen = [Observation(place, 1.0, truth(**place)) for place in places(20, 2)]
    first, again = (GaussianProcess(seen).predict(seen, places(5, 3)) for _ in range(2))
    assert np.array_equal(first, again)


def test_partial_schedules_teach_what_the_whole_ones_come_to() -> None:
    """At a third of the schedule those of large x lag behind, so that the raw partial scores mislead."""

    def partial(x: float, y: float) -> float:
        return truth(x, y) - 0.1 - 0.5 * x

    whole, stopped = places(12, 4), places(40, 5)
    seen = [Observation(place, 1.0, truth(**place)) for place in whole]
    seen += [Observation(place, 1 / 3, partial(**place)) for place in (*whole, *stopped)]
    final = np.array([truth(**place) for place in stopped])
    mean, _ = GaussianProcess(seen).predict(seen, stopped)
    raw = np.array([partial(**place) for place in stopped])
    assert np.abs(mean - final).max() < 0.05
    assert np.abs(raw - final).max() > 0.5
    assert np.corrcoef(mean, final)[0, 1] > 0.98 > 0.9 > np.corrcoef(raw, final)[0, 1]


def test_a_parameter_that_some_recipes_lack_does_no_harm() -> None:
    seen = [Observation({"x": x, "kind=a": 1.0}, 1.0, x) for x in np.linspace(0, 1, 8)]
    seen += [
        Observation({"x": x, "kind=a": 0.0, "steps": s}, 1.0, x + 0.3 * s)
        for x in (0.0, 0.5, 1.0)
        for s in (0.0, 0.5, 1.0)
    ]
    places = [
        {"x": 0.4, "kind=a": 1.0},
        {"x": 0.4, "kind=a": 0.0, "steps": 0.8},
        {"x": 0.4, "unknown": 1.0, "kind=a": 1.0},
    ]
    mean, _ = GaussianProcess(seen).predict(seen, places)
    assert mean[:2] == pytest.approx([0.4, 0.64], abs=0.03)
    assert mean[2] == pytest.approx(mean[0])


def test_the_sampling_variance_is_that_of_a_share_of_images_and_never_0() -> None:
    assert sampling_variance(0.3, 10_000) == pytest.approx(0.3 * 0.7 / 10_000, rel=1e-3)
    assert sampling_variance(0.0, 100) == pytest.approx(1 / 102 * (101 / 102) / 100)
    assert sampling_variance(0.5, 250) == pytest.approx(4 * sampling_variance(0.5, 1000), rel=0.01)


def test_what_is_surely_measured_weighs_more() -> None:
    here = {"x": 0.5}
    process = GaussianProcess([Observation(here, 1.0, 0.2), Observation(here, 1.0, 0.8)])

    def predicted(low: float, high: float) -> float:
        seen = [Observation(here, 1.0, 0.2, low), Observation(here, 1.0, 0.8, high)]
        return float(process.predict(seen, [here])[0][0])

    assert predicted(0.01, 0.01) == pytest.approx(0.5)
    assert predicted(0.5, 0.001) > 0.6
    assert predicted(0.001, 0.5) == pytest.approx(1 - predicted(0.5, 0.001))


def test_what_is_known_of_the_noise_is_not_fitted_once_more() -> None:
    rng, deviation = np.random.default_rng(0), 0.1
    noisy = [(place, truth(**place) + deviation * float(rng.normal())) for place in places(60, 6)]
    told = GaussianProcess([Observation(place, 1.0, score, deviation**2) for place, score in noisy])
    untold = GaussianProcess([Observation(place, 1.0, score) for place, score in noisy])
    assert told.noise < 0.3 * untold.noise
