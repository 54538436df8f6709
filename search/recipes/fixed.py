"""From a study to the recipes that it fixes: base, baselines and grid; and which of them others build on."""

from dataclasses import dataclass

from search.recipes.baselines import base_recipe, searched_bases, started_recipes
from search.recipes.grid_cells import grid_cells
from search.study.resources import Role
from search.study.study import BASE, Study
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class Fixed:
    """A recipe that nobody searches for."""

    role: Role
    name: str
    recipe: Recipe


def fixed_recipes(study: Study) -> tuple[Fixed, ...]:
    """The base, the baselines, then the grid, in the order to run them: what a recipe starts from comes before it.

    The bases that a grid needs with further seeds are named by their seed.
    """
    own = started_recipes(study, study.seed)
    fixed = [Fixed("base" if name == BASE else "baseline", name, recipe) for name, recipe in own.items()]
    cells = grid_cells(study)
    known = {one.recipe.id for one in fixed}
    for seed in range(study.seed + 1, study.seed + (study.grid.seeds if study.grid else 1)):
        needed = {ancestor.id for cell in cells for ancestor in _ancestors(cell.recipe)}
        for name, recipe in started_recipes(study, seed).items():
            if recipe.id in needed - known:
                fixed.append(Fixed("base" if name == BASE else "baseline", f"{name}.seed{seed}", recipe))
    return (*fixed, *(Fixed("grid", cell.arm.name, cell.recipe) for cell in cells))


def planned_recipes(study: Study) -> int:
    """How many recipes a study runs at most."""
    fixed = fixed_recipes(study)
    others = {base.id for base in searched_bases(study)} - {one.recipe.id for one in fixed}
    return len(fixed) + min(len(others), study.budget.trials) + study.budget.trials


def parents(study: Study) -> frozenset[str]:
    """Ids of the recipes that others start from or learn from."""
    started = (fixed.recipe.base for fixed in fixed_recipes(study))
    bases = (base_recipe(study), *searched_bases(study), *(base for base in started if base is not None))
    return teachers(study) | {base.id for base in bases}


def teachers(study: Study) -> frozenset[str]:
    """Ids of the recipes whose soft labels others learn from."""
    fixed = fixed_recipes(study)
    learnt = {one.recipe.teacher.id for one in fixed if one.recipe.teacher is not None}
    if study.space is None or not any(study.space.distillation.weight):
        return frozenset(learnt)
    names = study.space.distillation.teacher
    own = {base.id for base in searched_bases(study)} if BASE in names else set()
    return frozenset(learnt | own | {one.recipe.id for one in fixed if one.role == "baseline" and one.name in names})


def _ancestors(recipe: Recipe) -> list[Recipe]:
    """What it starts from and learns from, what that builds on, and so on."""
    direct = [one for one in (recipe.base, recipe.separate_teacher) if one is not None]
    return direct + [ancestor for one in direct for ancestor in _ancestors(one)]
