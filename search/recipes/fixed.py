"""Lists the recipes that a study fixes before its search (base, baselines, grid), and which of them others need."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from search.recipes.baselines import started_recipes
from search.recipes.grid_cells import Cell, grid_cells
from search.study.resources import Role
from search.study.space import BASE
from search.study.study import Study
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class Fixed:
    """A recipe that the study fixes instead of searching for it: a base, a baseline, or a grid's."""

    role: Role
    name: str
    recipe: Recipe


@dataclass(frozen=True)
class FixedRecipes:
    """All recipes of a study that are known before anything is proposed. They are made once and handed down.

    Iteration yields them in the order in which to run them: a recipe's base and its teacher come before it.

    Attributes:
        base: the ordinary base.
        baselines: the baselines with the study's own seed.
        further: the bases and baselines that a grid needs with further seeds; their names end with the seed.
        cells: the grid's recipes.
        searched_bases: every base that a proposal may start from; none if all train from scratch. Where the length of
            pretraining is searched, these are one for each length, and the study's own is among them only if its length
            is in the range.
        reference: the baseline that ratios and the verdict are held against.
        parents: ids of the recipes that are the base or the teacher of others.
        teachers: ids of the recipes whose soft labels others learn from.
        planned: number of recipes that the study runs at most, proposals included.
    """

    base: Fixed
    baselines: tuple[Fixed, ...]
    further: tuple[Fixed, ...]
    cells: tuple[Cell, ...]
    searched_bases: tuple[Recipe, ...]
    reference: Fixed
    parents: frozenset[str]
    teachers: frozenset[str]
    planned: int

    @classmethod
    def of(cls, study: Study) -> Self:
        """Make the fixed recipes of a study."""
        base, *baselines = (_fixed(name, recipe) for name, recipe in started_recipes(study, study.seed).items())
        cells = grid_cells(study)
        further = _further(study, {one.recipe.id for one in (base, *baselines)}, cells)
        fixed = [*(one.recipe for one in (base, *baselines, *further)), *(cell.recipe for cell in cells)]
        searched = _searched_bases(study, base.recipe)
        teachers = _teachers(study, fixed, searched, baselines)
        started = [recipe.base.id for recipe in fixed if recipe.base is not None]
        others = {recipe.id for recipe in searched} - {recipe.id for recipe in fixed}
        return cls(
            base=base,
            baselines=tuple(baselines),
            further=further,
            cells=cells,
            searched_bases=searched,
            reference=next(one for one in baselines if one.name == study.reference),
            parents=teachers | {base.recipe.id, *(recipe.id for recipe in searched), *started},
            teachers=teachers,
            planned=len(fixed) + min(len(others), study.budget.trials) + study.budget.trials,
        )

    def __iter__(self) -> Iterator[Fixed]:
        yield self.base
        yield from self.baselines
        yield from self.further
        for cell in self.cells:
            yield Fixed("grid", cell.arm.name, cell.recipe)

    def named(self, name: str) -> Recipe:
        """Return the base or a baseline by its name, with the study's own seed."""
        return next(one.recipe for one in (self.base, *self.baselines) if one.name == name)

    def base_of(self, epochs: int | None) -> Recipe:
        """Return the ordinary base with another length of pretraining; None: with the study's own length."""
        return self.base.recipe if epochs is None else _of_length(self.base.recipe, epochs)


def _fixed(name: str, recipe: Recipe, suffix: str = "") -> Fixed:
    return Fixed("base" if name == BASE else "baseline", name + suffix, recipe)


def _searched_bases(study: Study, base: Recipe) -> tuple[Recipe, ...]:
    if study.space is not None and BASE not in study.space.base:
        return ()
    lengths = study.space.pretraining_epochs if study.space else None
    return (base,) if lengths is None else tuple(_of_length(base, one) for one in lengths.numbers)


def _of_length(base: Recipe, epochs: int) -> Recipe:
    return base.model_copy(update={"schedule": base.schedule.model_copy(update={"epochs": epochs})})


def _further(study: Study, known: set[str], cells: tuple[Cell, ...]) -> tuple[Fixed, ...]:
    """Return the bases and baselines with further seeds that the grid's recipes descend from."""
    found = []
    for seed in range(study.seed + 1, study.seed + (study.grid.seeds if study.grid else 1)):
        needed = {ancestor.id for cell in cells for ancestor in _ancestors(cell.recipe)}
        for name, recipe in started_recipes(study, seed).items():
            if recipe.id in needed - known:
                found.append(_fixed(name, recipe, f".seed{seed}"))
    return tuple(found)


def _teachers(
    study: Study, fixed: list[Recipe], searched_bases: tuple[Recipe, ...], baselines: list[Fixed]
) -> frozenset[str]:
    learnt = {recipe.teacher.id for recipe in fixed if recipe.teacher is not None}
    if study.space is None or not study.space.distillation.teaches:
        return frozenset(learnt)
    names = study.space.distillation.teacher
    own = {base.id for base in searched_bases} if BASE in names else set()
    return frozenset(learnt | own | {one.recipe.id for one in baselines if one.name in names})


def _ancestors(recipe: Recipe) -> list[Recipe]:
    """Return a recipe's base and its teacher, theirs, and so on."""
    direct = [one for one in (recipe.base, recipe.separate_teacher) if one is not None]
    return direct + [ancestor for one in direct for ancestor in _ancestors(one)]
