"""From a grid to recipes: every arm, level and seed, and what each starts from."""

import pytest

from search.recipes.fixed import FixedRecipes
from search.study.loading import load, shipped
from search.study.study import Study
from tests.support.command import SMALL
from trainables.compression.config import ChannelPruning, Quantization
from trainables.errors import InvalidInput

FAST, SHORT = "{kind: n_fgsm, epsilon: 0.2}", "{epochs: 1, learning_rate: 0.05}"
ARMS = f"""[{{name: cut, base: base}}, {{name: tuned, base: b3, perturbation: {FAST}, schedule: {SHORT}}}]"""
GRID = [*SMALL, f"grid={{pruning_ratios: [0.3, 0.6], bits: [4], arms: {ARMS}, seeds: 3}}", "seed=5"]


def test_a_grid_is_every_arm_at_every_level_with_every_seed() -> None:
    cells = FixedRecipes.of(load("digits", GRID)).cells
    assert len({cell.recipe.id for cell in cells}) == len(cells) == 2 * 3 * 3
    assert {(cell.arm.name, cell.axis, cell.level, cell.recipe.seed) for cell in cells} == {
        (arm, axis, level, seed)
        for arm in ("cut", "tuned")
        for axis, level in (("pruning", 0.3), ("pruning", 0.6), ("quantization", 4))
        for seed in (5, 6, 7)
    }
    for cell in cells:
        recipe = cell.recipe
        assert recipe.base is not None
        assert recipe.base.seed == recipe.seed
        assert recipe.schedule.epochs == (0 if cell.arm.name == "cut" else 1)
        if cell.axis == "pruning":
            assert isinstance(recipe.compression, ChannelPruning)
            assert (recipe.compression.pruning_ratio, recipe.quantization) == (cell.level, None)
        else:
            assert recipe.quantization == Quantization(weight_bits=4, activation_bits=4)


def test_each_seed_has_the_bases_that_it_needs_and_no_more() -> None:
    study = load("digits", GRID)
    fixed = FixedRecipes.of(study)
    names = [one.name for one in fixed if one.role != "grid"]
    # b3 starts from b0, so other seeds need both; b1 and b2 are baselines to compare with, of the study's own seed.
    further = [f"{name}.seed{number}" for number in (6, 7) for name in ("base", "b0", "b3")]
    assert names == ["base", "b0", "b1", "b2", "b3", *further]
    before: set[str] = set()
    for one in fixed:
        assert one.recipe.base is None or one.recipe.base.id in before
        before.add(one.recipe.id)
    assert len(FixedRecipes.of(study).parents) == 3 * 3


def test_a_users_weights_are_one_base_for_every_seed() -> None:
    weights = {"pretraining": None, "pretrained": {"path": "w", "sha256": "0" * 64}}
    study = Study.model_validate(load("digits", GRID).model_dump() | weights)
    assert (
        len(
            {
                cell.recipe.base.id
                for cell in FixedRecipes.of(study).cells
                if cell.arm.name == "cut" and cell.recipe.base
            }
        )
        == 1
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("grid={bits: [8], arms: [{name: a, base: nobody}]}", "got base 'nobody' in a, expected base, b0"),
        ("grid={arms: [{name: a, base: base}]}", "got neither pruning_ratios nor bits"),
        ("grid={bits: [32], arms: [{name: a, base: base}]}", "32 is not quantized"),
        ("grid={bits: [8], arms: [{name: a, base: base}, {name: a, base: b0}]}", "expected each once"),
        (f"grid={{bits: [8], arms: [{{name: a, base: base, perturbation: {FAST}}}]}}", "without a schedule"),
        ("grid={bits: [8], arms: [{name: a, base: base, score: robust_accuracy_as_published}]}", "pgd_as_published"),
        ("space=null", "budget.trials: got 4 without a space, expected a space or 0"),
    ],
)
def test_what_does_not_fit_is_said(setting: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace("[", r"\[")):
        load("digits", [*SMALL, setting])


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("paper_")])
def test_the_papers_studies_list_its_figure(name: str) -> None:
    study = load(name)
    cells = FixedRecipes.of(study).cells
    assert study.grid is not None
    assert study.grid.seeds == 3
    assert {cell.axis for cell in cells} == {"pruning", "quantization"}
    starts = {(cell.arm.base == "base", cell.arm.schedule is not None) for cell in cells}
    assert starts == {(True, False), (True, True), (False, False), (False, True)}
    assert any(cell.arm.score == "robust_accuracy_as_published" for cell in cells)
