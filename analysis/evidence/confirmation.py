"""Reads what `temper confirm` has planned and found so far, from the run directory alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.run.trials import Run, Trial
from trainables.assessment.attack_record import AttackRecord, AttackSetting, read_attack
from trainables.conditions.record import THE_BASE, Conditions, read_conditions
from trainables.evaluation.chance import chance_limit
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
        failures: why the training of an entry with a seed has ended without a network to attack, in words.
        images: hash of the test images that all results are of; empty while there are none.
        looks: how many earlier confirmations have held a pick against another entry, by the ids of both.
    """

    number: int
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...]
    setting: AttackSetting
    margin: float
    results: Results
    conditions: Mapping[tuple[str, int], Conditions]
    failures: Mapping[tuple[str, int], str]
    images: str
    looks: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def failed(self, entry: Entry) -> list[str]:
        """Return with which seeds an entry's training came to nothing, and why, in words."""
        return [f"seed {seed}: {why}" for (name, seed), why in self.failures.items() if name == entry.name]

    def whole(self, entry: Entry) -> bool:
        """Return whether an entry has a result with every seed."""
        return all((entry.name, seed) in self.results for seed in self.seeds)

    def of(self, entry: Entry) -> list[tuple[Trial, AttackRecord]]:
        """Return an entry's results, in the order of its seeds."""
        return [self.results[entry.name, seed] for seed in self.seeds if (entry.name, seed) in self.results]

    def robust(self, entry: Entry) -> NDArray[np.float64]:
        """Return `(seeds, images)`, 1 where an image stands, else 0; of a quantized network by what counts."""
        return np.array([record.counted for _, record in self.of(entry)], dtype=np.float64)

    def no_yardstick(self, entry: Entry) -> str:
        """Return why nothing can be held against an entry, in words: it is not above chance; empty where it is."""
        limit, robust = chance_limit(self.of(entry)[0][0].metrics), float(self.robust(entry).mean())
        if limit is None or robust > limit:
            return ""
        return f"{entry.name} is no better than chance ({robust:.3f}, of which {limit:.3f} are within chance)"

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
    trials = {trial.id: trial for trial in run.everything if trial.state is not State.RUNNING}
    found = []
    for name in sorted((name for name in run.folder.child(CONFIRMATIONS).names() if name.isdigit()), key=int):
        try:
            found.append(_read(int(name), run.folder.child(CONFIRMATIONS, name).read_json(PLAN), run.folder, trials))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return _with_looks(found)


def _with_looks(found: Sequence[Confirmation]) -> tuple[Confirmation, ...]:
    """Return confirmations, in order, with how often each of their pairs had been compared before."""
    seen: Counter[tuple[str, str]] = Counter()
    counted = []
    for one in found:
        counted.append(replace(one, looks=dict(seen)))
        whole = [entry for entry in one.entries if one.whole(entry)]
        seen.update((pick.id, other.id) for pick in whole if pick.part == "pick" for other in whole)
    return tuple(counted)


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
    sources = {THE_BASE, *(one.name for one in entries if one.part == "against")}
    results, conditions, failures = {}, {}, {}
    for entry in entries:
        for seed, name in entry.trials.items():
            trial, place = trials.get(name), run.child("trials", name)
            if trial is None:
                continue
            if trial.state is not State.COMPLETE:
                failures[entry.name, seed] = trial.reason or trial.state.value
                continue
            if (record := read_attack(place, setting)) is not None:
                results[entry.name, seed] = trial, record
            if (measured := read_conditions(place, setting, ())) is not None:
                conditions[entry.name, seed] = measured.of_sources(sources)
    # Only what was found on the same images is compared; a plan of before does not say on which.
    images = plan.get("images") or _commonest(record.images for _, record in results.values())
    return Confirmation(
        number=number,
        entries=entries,
        seeds=tuple(plan["seeds"]),
        setting=setting,
        margin=float(plan["margin"]),
        results={key: found for key, found in results.items() if found[1].images == images},
        conditions={key: found for key, found in conditions.items() if found.images in ("", images)},
        failures=failures,
        images=images,
    )


def _commonest(hashes: Iterable[str]) -> str:
    return max(Counter(hashes).items(), key=lambda one: one[1], default=("", 0))[0]
