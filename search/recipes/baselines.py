"""Makes the recipes of a study's ordinary base and of its baselines."""

from search.study.space import BASE
from search.study.study import Study
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import Schedule

AS_IT_IS = Schedule(epochs=0, learning_rate=1.0)


def base_recipe(study: Study, *, seed: int | None = None) -> Recipe:
    """Return the recipe of the ordinary base: pretraining, or the user's file of weights; no attack, no compression.

    Args:
        study: the study.
        seed: another seed than the study's; it changes nothing where the base is a file of weights.
    """
    return Recipe(
        data=study.data,
        model=study.model,
        weights=study.pretrained,
        augmentation=study.augmentation,
        schedule=study.pretraining or AS_IT_IS,
        keep=study.keep,
        precision=study.precision,
        seed=study.seed if study.pretrained or seed is None else seed,
    )


def started_recipes(study: Study, seed: int) -> dict[str, Recipe]:
    """Return the recipes of the ordinary base and of all baselines with one seed, by name, in the study's order."""
    made: dict[str, Recipe] = {BASE: base_recipe(study, seed=seed)}
    for baseline in study.baselines:
        soft = baseline.distillation
        made[baseline.name] = Recipe(
            data=study.data,
            model=study.model,
            base=None if baseline.base is None else made[baseline.base],
            compression=baseline.compression,
            quantization=baseline.quantization,
            perturbation=baseline.perturbation,
            loss=baseline.loss,
            loop=baseline.loop,
            distillation=None
            if soft is None
            else Distillation(
                temperature=soft.temperature,
                weight=soft.weight,
                teacher=None if soft.teacher is None else made[soft.teacher],
            ),
            augmentation=study.augmentation,
            schedule=baseline.schedule,
            keep=study.keep,
            precision=study.precision_with(baseline.quantization),
            seed=seed,
        )
    return made
