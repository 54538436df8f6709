"""Writes down who is confirmed against whom, with which seeds and attack; read again when confirming goes on."""

from dataclasses import dataclass
from typing import Any

from analysis.evidence.confirmation import CONFIRMATIONS, PLAN, read_confirmations
from analysis.run.format import FORMAT
from analysis.run.trials import Run
from search.confirm.contenders import Contender, reseeded
from search.study.study import Study
from trainables.assessment.attack_record import AttackSetting
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

FIRST_SEED = 1000  # far from the seeds that studies use
FEWEST_SEEDS = 2


@dataclass(frozen=True)
class Plan:
    """What one confirmation does.

    Attributes:
        contenders: who is confirmed.
        seeds: the seeds that each is trained with, the same for all.
        setting: what the trained networks are attacked by.
        margin: robust accuracy that a pick may lose and still be at parity, 0–1.
        images: hash of the test images that they are attacked on; empty while nothing is attacked.
    """

    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    setting: AttackSetting
    margin: float
    images: str = ""

    def recipes(self) -> list[tuple[Contender, int, Recipe]]:
        """Return each contender's recipe with each seed."""
        return [(one, seed, reseeded(one.recipe, seed)) for seed in self.seeds for one in self.contenders]

    def networks(self) -> list[tuple[int, Recipe]]:
        """Return each network once, with its seed; a file of weights is the same for all seeds, and has the first."""
        return list({recipe.id: (seed, recipe) for _, seed, recipe in reversed(self.recipes())}.values())[::-1]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "format": FORMAT,
            "seeds": list(self.seeds),
            "attack": self.setting.attack,
            "examples": self.setting.examples,
            "images": self.images,
            "threat_model": self.setting.threat_model.model_dump(mode="json"),
            "margin": self.margin,
            "contenders": [
                {
                    "name": one.name,
                    "part": one.part,
                    "pick": one.pick,
                    "id": one.recipe.id,
                    "recipe": one.recipe.model_dump(mode="json"),
                    "trials": {str(seed): reseeded(one.recipe, seed).id for seed in self.seeds},
                }
                for one in self.contenders
            ],
        }


def fresh_seeds(run: Run, study: Study, count: int) -> tuple[int, ...]:
    """Return the first seeds from `FIRST_SEED` on that neither the search nor its grid has used.

    They are the same in each confirmation of a run, so that what was trained for an earlier one is not trained again.

    Raises:
        InvalidInput: fewer than two are asked for, by which nothing can be decided.
    """
    if count < FEWEST_SEEDS:
        raise InvalidInput(f"--seeds: got {count}, expected at least {FEWEST_SEEDS}: one network proves nothing")
    used = {int(trial.recipe["seed"]) for trial in run.trials} | {study.seed}
    return tuple(seed for seed in range(FIRST_SEED, FIRST_SEED + count + len(used)) if seed not in used)[:count]


def write_plan(run: Folder, plan: Plan) -> int:
    """Write a plan into a new folder of confirm/, and return its number; an equal one that is there counts as it."""
    folder, content = run.child(CONFIRMATIONS), plan.as_json()
    numbers = sorted(int(name) for name in folder.names() if name.isdigit())
    for number in numbers:
        if _is_equal(_content(folder.child(str(number))), content):
            return number
    number = 1 + max(numbers, default=0)
    folder.child(str(number)).write_json(PLAN, content, lasting=True)
    return number


def _is_equal(earlier: object, content: dict[str, Any]) -> bool:
    """Return whether two plans are the same; one of before does not know its images."""
    return isinstance(earlier, dict) and {"images": content["images"], **earlier} == content


def check_test_images(run: Run, setting: AttackSetting, images: str) -> None:
    """Refuse test images that are others than those of the last confirmation that drew as many.

    Raises:
        InvalidInput: they are.
    """
    alike = [one for one in read_confirmations(run) if one.setting.examples == setting.examples and one.images]
    if alike and alike[-1].images != images:
        raise InvalidInput(
            f"{run.folder}: the test images are others than those of confirmation {alike[-1].number}; --force attacks "
            "all networks on them again"
        )


def _content(folder: Folder) -> object:
    try:
        return folder.read_json(PLAN)
    except (OSError, ValueError):
        return None
