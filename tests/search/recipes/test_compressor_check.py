"""A user's own compression method in a study: in a baseline, in the space, and refused before anything runs."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.run.summary import summary
from search.monitoring.tensorboard import _hyperparameters
from search.preflight.workload import workload
from search.recipes.baselines import started_recipes
from search.recipes.choosers import RandomChooser
from search.recipes.compressor_check import try_user_compressors
from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from search.surrogate.cost_model import CostModel
from tests.support.checkout import ROOT
from tests.support.command import SMALL
from tests.support.recipes import propose
from trainables.compression.compressor import Compressor
from trainables.compression.config import UserCompression
from trainables.data.splits import load_splits
from trainables.errors import InvalidInput

LOW_RANK = "{method: 'tests.support.low_rank:LowRank', settings: {share: 0.3}}"
MASKS = "{method: 'tests.support.masks:Masks', steps: 2, settings: {share: 0.8}}"
TINY = [*SMALL, "data.train_size=40", "data.validation_size=20"]
BASELINE = [*TINY, f"baselines.2.compression={LOW_RANK}"]
SPACE = [*TINY, f"space.compression.alternatives=[{LOW_RANK}, {MASKS}]"]


class Fails(Compressor):
    """It can be made, and then nothing works."""

    def __init__(self, steps: int, seed: int) -> None:
        pass

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        raise ValueError("such a network")


def test_a_baseline_names_it() -> None:
    recipe = started_recipes(load("digits", BASELINE), 0)["b2"]
    assert isinstance(recipe.compression, UserCompression)
    assert recipe.compression.settings.values() == {"share": 0.3}
    plain = recipe.model_dump(mode="json")
    assert summary(plain).startswith("tests.support.low_rank:LowRank share 0.3 · N-FGSM")
    shown = _hyperparameters("baseline", plain)
    assert shown["compression.settings.share"] == 0.3
    assert all(isinstance(value, bool | int | float | str) for value in shown.values())


def test_a_space_lists_it_as_an_alternative_to_pruning() -> None:
    study, rng = load("digits", SPACE), np.random.default_rng(0)
    found: dict[str, set[int]] = {}
    for _ in range(60):
        draw = RandomChooser(rng)
        recipe = propose(draw, study)
        found.setdefault(recipe.compression.method, set()).add(recipe.compression.steps)
        pruned = draw.params["compression"] == "channel_pruning"
        assert pruned == ("pruning_ratio" in draw.params)
        assert isinstance(recipe.compression, UserCompression) != pruned
        assert recipe.compression.steps <= recipe.schedule.epochs
    found.pop("none", None)  # a pruning ratio of 0
    assert found == {
        "channel_pruning": {1},
        "tests.support.low_rank:LowRank": {1},
        "tests.support.masks:Masks": {1, 2},
    }
    assert "compression" not in _params(TINY)  # where there is no alternative, nothing is asked


def _params(settings: list[str]) -> dict[str, object]:
    draw = RandomChooser(np.random.default_rng(0))
    propose(draw, load("digits", settings))
    return draw.params


def test_it_may_be_wanted_first_and_its_compute_is_counted_on_its_own_network() -> None:
    study = load("digits", SPACE)
    assert study.space is not None
    wanted = study.space.compression.alternatives[0].model_dump_json()
    wants = load("digits", [*SPACE, f"first={json.dumps([{'compression': wanted}])}"])
    check_first(wants, FixedRecipes.of(wants))
    costs = CostModel(
        study, FixedRecipes.of(study), load_splits(study.data), lambda _: pytest.fail("nothing has finished")
    )
    dense = started_recipes(study, 0)["b1"]
    method = study.space.compression.alternatives[0]
    compressed, whole = costs(dense.model_copy(update={"compression": method})), costs(dense)
    assert 0.2 < compressed["train_flops"] / whole["train_flops"] < 0.4


def test_what_cannot_be_had_is_refused_when_the_study_is_loaded_with_every_problem() -> None:
    with pytest.raises(InvalidInput) as refused:
        load(
            "digits",
            [
                *TINY,
                "baselines.2.compression={method: 'nowhere_at_all:compress'}",
                "space.compression.alternatives=[{method: 'tests.support.masks:Masks'}]",
            ],
        )
    one, other = refused.value.problems
    assert one.startswith("baselines.2.compression.method: got 'nowhere_at_all:compress', which cannot be imported")
    assert other.startswith("space.compression.alternatives.0: tests.support.masks:Masks does not take the keyword")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ([f"baselines.2.compression={{method: '{__name__}:Fails'}}"], "baselines.2.compression"),
        (
            [f"space.compression.alternatives=[{LOW_RANK}, {{method: '{__name__}:Fails'}}]"],
            "space.compression.alternatives.1",
        ),
    ],
)
def test_what_does_not_work_on_the_studys_network_is_refused_before_anything_runs(
    settings: list[str], key: str
) -> None:
    study = load("digits", [*TINY, *settings])
    splits = load_splits(study.data)
    message = rf"{key}: {__name__}:Fails: step 1 fails \(ValueError: such a network\)"
    with pytest.raises(InvalidInput, match=message):
        try_user_compressors(study, splits)
    with pytest.raises(InvalidInput, match=message):
        workload(study, FixedRecipes.of(study), splits)


def test_what_works_is_let_through_and_leaves_the_random_state() -> None:
    study = load("digits", [*SPACE, f"baselines.3.compression={MASKS}", "baselines.3.schedule.epochs=2"])
    state = torch.get_rng_state()
    try_user_compressors(study, load_splits(study.data))
    assert torch.equal(torch.get_rng_state(), state)


def test_other_studies_are_loaded_without_torch() -> None:
    alternative = "space.compression.alternatives=[{method: channel_pruning, mac_ratio: 0.5}]"
    code = (
        "import sys; from search.study.loading import load; "
        f"load('digits', [{alternative!r}]); assert 'pydantic' in sys.modules; "
        "assert not {'torch', 'ray', 'torch_pruning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_runs_of_before_are_summed_up_without_the_keys_that_came_later() -> None:
    plain = started_recipes(load("digits", TINY), 0)["b2"].model_dump(mode="json")
    expected = summary(plain)
    assert expected.startswith("prune 50% l1 global · ")
    del plain["compression"]["steps"], plain["compression"]["taylor_examples"]
    assert summary(plain) == expected
    plain["quantization"] = {"weight_bits": 4, "activation_bits": 8}
    assert " · W4A8 · " in summary(plain)
