"""Averaging, smoothing, decay, momentum and distillation in a space: one value, a list, a range, levels of a range."""

from typing import Any

import numpy as np
import pytest

from analysis.run.summary import summary
from search.recipes.choosers import RandomChooser
from search.resume.fingerprint import fingerprint
from search.study.loading import load
from search.study.study import Study
from tests.support.command import SMALL
from tests.support.recipes import combinations, propose
from trainables.config import parse
from trainables.errors import InvalidInput
from trainables.losses.config import CrossEntropy
from trainables.recipe.recipe import Recipe

LOSSES = "space.loss=[{kind: cross_entropy}, {kind: trades, beta: 3}]"
SOFT = "{low: 0.2, high: 0.8}"


def drawn(study: Study, count: int = 60) -> list[tuple[RandomChooser, Recipe]]:
    rng = np.random.default_rng(0)
    choosers = [RandomChooser(rng) for _ in range(count)]
    return [(chooser, propose(chooser, study)) for chooser in choosers]


def value(recipe: Recipe, name: str) -> Any:
    match name:
        case "label_smoothing":
            return recipe.loss.label_smoothing if isinstance(recipe.loss, CrossEntropy) else None
        case "distillation_weight":
            return recipe.distillation.weight if recipe.distillation else 0
        case "temperature":
            return recipe.distillation.temperature if recipe.distillation else None
    return getattr(recipe.schedule, name)


# The key in the study, the parameter, and two values to choose from
WORDS = {
    "averaging": " · averaged 0.99",
    "momentum": " · momentum 0.95",
    "weight_decay": " · decay 0.001",
    "label_smoothing": " · smoothing 0.1",
    "distillation_weight": " · distilled 50%",
}
LEVERS = [
    ("space.schedule.averaging", "averaging", (None, 0.99)),
    ("space.schedule.momentum", "momentum", (0.8, 0.95)),
    ("space.schedule.weight_decay", "weight_decay", (0, 0.001)),
    ("space.label_smoothing", "label_smoothing", (0, 0.1)),
    ("space.distillation.weight", "distillation_weight", (0, 0.5)),
]


@pytest.mark.parametrize(("key", "name", "choices"), LEVERS)
def test_of_a_list_each_is_proposed_and_one_value_is_not_asked_for(
    key: str, name: str, choices: tuple[Any, ...]
) -> None:
    listed = ", ".join("null" if one is None else str(one) for one in choices)
    seen, told = set(), set[bool]()
    for chooser, recipe in drawn(load("digits", [*SMALL, f"{key}=[{listed}]"])):
        assert chooser.params[name] == value(recipe, name)
        words = summary(recipe.model_dump(mode="json"))
        assert WORDS[name] not in words or value(recipe, name) == choices[1]
        told |= {WORDS[name] in words}
        seen.add(value(recipe, name))
    assert seen == set(choices)
    assert told == {True, False}
    for form in (str(choices[1]), f"[{choices[1]}]"):
        for chooser, recipe in drawn(load("digits", [*SMALL, f"{key}={form}"]), 3):
            assert name not in chooser.params
            assert value(recipe, name) == choices[1]


# The key, the parameter, a range, and the value in its middle: by distance, ratio, or the ratio of 1 - decay
RANGES = [
    ("space.schedule.averaging", "averaging", (0.9, 0.999), 0.99),
    ("space.schedule.weight_decay", "weight_decay", (1e-5, 1e-3), 1e-4),
    ("space.label_smoothing", "label_smoothing", (0.0, 0.2), 0.1),
    ("space.distillation.weight", "distillation_weight", (0.2, 0.8), 0.5),
    ("space.distillation.temperature", "temperature", (1.0, 9.0), 3.0),
]


@pytest.mark.parametrize(("key", "name", "ends", "middle"), RANGES)
def test_a_range_is_searched_on_its_scale(key: str, name: str, ends: tuple[float, float], middle: float) -> None:
    given = f"{key}={{low: {ends[0]}, high: {ends[1]}"
    study = load("digits", [*SMALL, "space.distillation.weight=0.5", f"{given}}}"])
    assert study.space is not None
    assert key.removeprefix("space.") in study.space.endless
    values = [value(recipe, name) for _, recipe in drawn(study, 120)]
    assert all(ends[0] <= one <= ends[1] for one in values)
    assert np.mean(np.array(values) < middle) == pytest.approx(0.5, abs=0.1)
    assert len(set(values)) > 90
    levels = load("digits", [*SMALL, "space.distillation.weight=0.5", f"{given}, levels: 3}}"])
    assert levels.space is not None
    assert key.removeprefix("space.") not in levels.space.endless
    assert sorted({value(recipe, name) for _, recipe in drawn(levels)}) == pytest.approx([ends[0], middle, ends[1]])
    single = load("digits", [*SMALL, "space.distillation.weight=0.5", f"{key}={{low: {middle}, high: {middle}}}"])
    assert single.space is not None
    assert key.removeprefix("space.") not in single.space.endless, "one number can be listed"
    assert {value(recipe, name) for _, recipe in drawn(single)} == {middle}


def test_smoothing_is_asked_for_only_where_labels_are_smoothed() -> None:
    soft = "space.distillation.weight=[0, 0.5, 1]"
    seen = set()
    for chooser, recipe in drawn(load("digits", [*SMALL, LOSSES, soft, "space.label_smoothing=[0.05, 0.1]"])):
        only_soft = recipe.distillation is not None and recipe.distillation.weight == 1
        assert ("label_smoothing" in chooser.params) == (recipe.loss.kind == "cross_entropy" and not only_soft)
        assert value(recipe, "label_smoothing") == {"trades": None}.get(
            recipe.loss.kind, 0 if only_soft else chooser.params.get("label_smoothing")
        )
        seen.add((recipe.loss.kind, only_soft))
    assert len(seen) == 4


def test_a_free_loop_needs_labels_that_are_not_smoothed() -> None:
    free = [*SMALL, "space.perturbation.kind=fgsm", "space.loop=[{kind: ordinary}, {kind: free, replays: 2}]"]
    loops = set()
    for _, recipe in drawn(load("digits", [*free, "space.label_smoothing=[0, 0.1]"])):
        loops.add((recipe.loop.kind, value(recipe, "label_smoothing")))
    assert loops == {("free", 0), ("ordinary", 0), ("ordinary", 0.1)}
    with pytest.raises(InvalidInput, match="got free, which no proposal could have, expected label_smoothing 0"):
        load("digits", [*free, f"space.label_smoothing={SOFT}"])


def test_levels_of_all_of_them_make_a_finite_space() -> None:
    settings = [
        "space.compression={pruning_ratio: {low: 0.5, high: 0.5}, scope: uniform}",
        "space.perturbation={kind: n_fgsm, epsilon: {low: 0.1, high: 0.2, levels: 2}}",
        "space.schedule={epochs: {low: 2, high: 2}, learning_rate: {low: 0.01, high: 0.04, levels: 2}, "
        "averaging: {low: 0.9, high: 0.99, levels: 2}, weight_decay: {low: 1.0e-5, high: 1.0e-3, levels: 2}, "
        "momentum: [0.8, 0.9]}",
        "space.label_smoothing={low: 0, high: 0.1, levels: 2}",
        "space.distillation={weight: {low: 0, high: 0.5, levels: 2}, temperature: {low: 1, high: 4, levels: 2}}",
    ]
    study = load("digits", [*SMALL, *settings])
    found = {propose(RandomChooser(np.random.default_rng(0), params), study).id for params in combinations(study)}
    assert len(found) == 2**6 * (1 + 2)  # epsilon, rate, averaging, decay, momentum, smoothing; soft labels or not


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["space.schedule.averaging=[0.9, slow]"], r"^space.schedule.averaging.1: got 'slow', expected a number$"),
        (["space.schedule.averaging=slow"], r"^space.schedule.averaging.0: got 'slow', expected a number$"),
        (["space.schedule.averaging=1"], r"space.schedule.averaging.0: got 1, expected a number < 1"),
        (["space.schedule.averaging={low: 0.9, high: 1}"], r"space.schedule.averaging.high: got 1, expected a number"),
        (["space.schedule.averaging={low: 0.99, high: 0.9}"], r"averaging: got low 0.99 above high 0.9"),
        (["space.schedule.averaging={low: 0.9, hihg: 1}"], r"averaging.hihg: unknown key, did you mean high\?"),
        (["space.schedule.weight_decay={low: 0, high: 0.1}"], r"weight_decay.low: got 0, expected a number > 0"),
        (["space.schedule.weight_decay=[]"], r"weight_decay: got \[\], expected at least 1 in the list"),
        (["space.schedule.weight_decay=-1"], r"weight_decay: got -1, expected a number >= 0"),
        (["space.schedule.momentum={low: 0.8, high: 0.9}"], r"momentum: got {.*}, expected a number$"),
        (
            ["space.distillation.weight={low: 0.5, high: 2}"],
            r"distillation.weight.high: got 2, expected a number in .0, 1.",
        ),
        (["space.label_smoothing=1"], "space: label_smoothing: got 1, which leaves no labels, expected less than 1"),
        (["space.label_smoothing=0.1", "space.loss={kind: trades}"], "label_smoothing: got it with loss trades"),
        (
            ["space.label_smoothing=0.1", "space.loss={kind: cross_entropy, label_smoothing: 0.2}"],
            "label_smoothing: got it here and in loss",
        ),
    ],
)
def test_nonsense_is_refused_in_words(settings: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load("digits", [*SMALL, *settings])


def test_a_study_is_written_and_read_again_as_it_is() -> None:
    for settings in (
        [],
        ["space.schedule.weight_decay=[0, 0.1]", "space.schedule.averaging={low: 0.9, high: 0.99}"],
        ["space.label_smoothing=0.1", f"space.distillation.weight={SOFT}", "space.base=[none, base]"],
    ):
        study = load("digits", [*SMALL, *settings])
        assert parse(Study, study.model_dump(mode="json")) == study


def test_the_hash_of_a_study_that_uses_none_of_the_new_keys_is_the_one_without_them() -> None:
    hashes = [
        fingerprint(load("digits", [*SMALL, *given]), "")["study"]
        for given in ([], ["space.base=base"], ["space.base=none"], ["space.label_smoothing=0"])
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
