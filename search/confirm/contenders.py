"""Says which recipes are retrained: the picks, what they are held against, and fast opponents at equal compute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.evidence.confirmation import Part
from analysis.export.networks import recipe_of
from analysis.pareto.frontier import OURS
from analysis.pareto.parity import label
from analysis.run.trials import Run, Trial
from search.recipes.baselines import started_recipes
from search.recipes.equal_compute import at_compute
from search.study.study import Baseline, Study
from trainables.compression.config import ChannelPruning, Compression, NoCompression
from trainables.compute.ledger import Ledger
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop

SINGLE_STEP = ("fgsm", "n_fgsm")


@dataclass(frozen=True)
class Contender:
    """One configuration that is confirmed.

    Attributes:
        name: what it is called.
        part: a pick of the run, a trial that picks are held against, or a fast opponent of a pick.
        recipe: its recipe, with the seed of the search.
        pick: of an opponent, the name of the pick whose compute it has.
    """

    name: str
    part: Part
    recipe: Recipe
    pick: str | None = None


def reseeded(recipe: Recipe, seed: int) -> Recipe:
    """Return the recipe with another seed, and so are its base and its teacher; a file of weights stays as it is."""
    if recipe.weights is not None:
        return recipe
    update: dict[str, object] = {"seed": seed}
    if recipe.base is not None:
        update["base"] = reseeded(recipe.base, seed)
    soft = recipe.distillation
    if soft is not None and soft.teacher is not None:
        update["distillation"] = soft.model_copy(update={"teacher": reseeded(soft.teacher, seed)})
    return recipe.model_copy(update=update)


def contender(run: Run, trial: Trial, part: Part) -> Contender:
    """Return a finished trial as a contender."""
    name = f"recipe {trial.id[:6]}" if trial.role in OURS else label(trial)
    return Contender(name, part, recipe_of(run, trial))


def is_fast(baseline: Baseline) -> bool:
    """Return whether a baseline is fast adversarial training: a single step from scratch, or the free loop."""
    single = baseline.perturbation.kind in SINGLE_STEP or isinstance(baseline.loop, FreeLoop)
    return single and baseline.base is None and isinstance(baseline.compression, NoCompression)


def opponents(
    study: Study,
    pick: Contender,
    mac_ratio: float,
    flops: float,
    plan: Callable[[Recipe], Ledger],
    examples: int,
) -> list[Contender]:
    """Return the fast opponents of a pick: what fast training gives for the pick's end-to-end compute.

    Of each family of fast adversarial training among the study's baselines, one that is dense and one that is pruned
    to the pick's share of the multiply-accumulates, uniformly and before training from scratch. Families differ by
    their attack, loss or loop; of several baselines of one family the first counts. One whose compute does not suffice
    for a single batch is left out.

    Args:
        study: the study.
        pick: the pick.
        mac_ratio: its multiply-accumulates, as a share of the dense network's.
        flops: its end-to-end compute.
        plan: returns the ledger of a recipe without running it.
        examples: number of training images.
    """
    families: dict[str, Baseline] = {}
    for baseline in filter(is_fast, study.baselines):
        family = f"{baseline.perturbation.model_dump_json()} {baseline.loss!r} {baseline.loop!r}"
        families.setdefault(family, baseline)
    made = started_recipes(study, study.seed)
    found: list[Contender] = []
    for baseline in families.values():
        forms: dict[str, Compression] = {"dense": NoCompression()}
        if mac_ratio < 1:
            forms["pruned"] = ChannelPruning(mac_ratio=mac_ratio, scope="uniform")
        for form, compression in forms.items():
            start = made[baseline.name].model_copy(update={"compression": compression})
            try:
                recipe = at_compute(start, flops, plan, examples)
            except InvalidInput:
                continue
            found.append(
                Contender(f"{baseline.name} {form} at the compute of {pick.name}", "opponent", recipe, pick.name)
            )
    return found


def best_of(candidates: Sequence[Contender], scores: Callable[[Contender], float | None]) -> Contender | None:
    """Return the opponent with the best validation score; None where none has one."""
    scored = [(score, -place, one) for place, one in enumerate(candidates) if (score := scores(one)) is not None]
    return max(scored, key=lambda item: item[:2])[2] if scored else None
