"""Reads what `temper confirm` has planned and found so far, from the run directory alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.run.trials import Run, Trial
from trainables.assessment.attack_record import AttackRecord, AttackSetting, read_attack
from trainables.conditions.record import Conditions, read_conditions
from trainables.evaluation.config import Strength, ThreatModel
from trainables.execution.ending import State
from trainables.storage import Folder

CONFIRMATIONS, PLAN, VERDICT = "confirm", "plan.json", "verdict.json"
Part = Literal["pick", "against", "opponent"]
Results = Mapping[tuple[str, int], tuple[Trial, AttackRecord]]  # by name of the entry and seed
_PARTS: Mapping[str, Part] = {"pick": "pick", "against": "against", "opponent": "opponent"}
_STRENGTHS: Mapping[str, Strength] = {"quick": "quick", "standard": "standard", "full": "full"}  # the weakest first


@dataclass(frozen=True)
class Entry:
    """One configuration that is confirmed.

    Attributes:
        name: what it is called.
        part: a pick of the run, a trial that picks are held against, or a fast opponent of a pick.
        id: id of its recipe with the seed of the search: of a pick, that of the trial that was found.
        pick: of an opponent, the name of the pick whose compute it has.
        trials: by seed, the id of the trial that trains it.
    """

    name: str
    part: Part
    id: str
    pick: str | None
    trials: Mapping[int, str]


@dataclass(frozen=True, eq=False)
class Confirmation:
    """A confirmation of a run, as far as it got.

    Attributes:
        number: its folder in confirm/.
        entries: who is confirmed.
        seeds: the seeds that each is trained with.
        setting: what the trained networks are attacked by.
        margin: robust accuracy that a pick may lose and still be at parity, 0–1.
        results: what was found of each entry with each seed, of those that are trained and attacked.
        conditions: what was measured of each entry with each seed under conditions that it was not trained for.
    """

    number: int
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...]
    setting: AttackSetting
    margin: float
    results: Results
    conditions: Mapping[tuple[str, int], Conditions]

    def whole(self, entry: Entry) -> bool:
        """Return whether an entry has a result with every seed."""
        return all((entry.name, seed) in self.results for seed in self.seeds)

    def of(self, entry: Entry) -> list[tuple[Trial, AttackRecord]]:
        """Return an entry's results, in the order of its seeds."""
        return [self.results[entry.name, seed] for seed in self.seeds if (entry.name, seed) in self.results]

    def robust(self, entry: Entry) -> NDArray[np.float64]:
        """Return `(seeds, images)`, 1 where an image stands, else 0; of a quantized network by what counts."""
        return np.array([record.counted for _, record in self.of(entry)], dtype=np.float64)

    def doubts(self, entry: Entry) -> list[str]:
        """Return why an entry's numbers cannot be trusted, each reason once; empty where no check found anything."""
        return sorted({reason for _, record in self.of(entry) for reason in record.unreliable})

    @property
    def strength(self) -> tuple[int, int, float]:
        """How much it proves, beside others of its run: by the ensemble, then seeds, then images."""
        ensemble = list(_STRENGTHS).index(self.setting.attack)
        return ensemble, len(self.seeds), float(self.setting.examples or np.inf)


def read_confirmations(run: Run) -> tuple[Confirmation, ...]:
    """Read the confirmations of a run, in order; one whose plan is torn is left out."""
    # A recipe that is a file of weights has no seed, so what it is confirmed by is the search's own trial.
    trials = {trial.id: trial for trial in run.everything if trial.state is State.COMPLETE}
    found = []
    for name in sorted((name for name in run.folder.child(CONFIRMATIONS).names() if name.isdigit()), key=int):
        try:
            found.append(_read(int(name), run.folder.child(CONFIRMATIONS, name).read_json(PLAN), run.folder, trials))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def _read(number: int, plan: dict[str, Any], run: Folder, trials: Mapping[str, Trial]) -> Confirmation:
    setting = AttackSetting(
        ThreatModel.model_validate(plan["threat_model"]), _STRENGTHS[plan["attack"]], plan["examples"]
    )
    entries = tuple(
        Entry(
            one["name"],
            _PARTS[one["part"]],
            one["id"],
            one["pick"],
            {int(seed): trial for seed, trial in one["trials"].items()},
        )
        for one in plan["contenders"]
    )
    results, conditions = {}, {}
    for entry in entries:
        for seed, trial in entry.trials.items():
            record = read_attack(run.child("trials", trial), setting) if trial in trials else None
            if record is not None:
                results[entry.name, seed] = trials[trial], record
            measured = read_conditions(run.child("trials", trial), setting, ()) if trial in trials else None
            if measured is not None:
                conditions[entry.name, seed] = measured
    return Confirmation(number, entries, tuple(plan["seeds"]), setting, float(plan["margin"]), results, conditions)
