"""The recipes that a study starts from: its ordinary bases, and its baselines with their ancestors."""

from search.study.study import BASE, Study
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import Schedule

AS_IT_IS = Schedule(epochs=0, learning_rate=1.0)


def base_recipe(study: Study, *, seed: int | None = None) -> Recipe:
    """Ordinary pretraining, or the user's file of weights as it is: no attack, no compression.

    Args:
        study: whose base.
        seed: another than the study's; a file of weights is the same whatever the seed.
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
    """The base and the baselines by name, with one seed."""
    made = {BASE: base_recipe(study, seed=seed)}
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
