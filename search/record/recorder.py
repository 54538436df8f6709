"""Writes the files of a run directory from which all others are derived: study.yaml, run.json and trials/.

Each is on the disk before the search goes on, so that none is lost or empty after a loss of power. While the
run's folder is away, what is written of a trial waits for it: no folder is made anew in its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import yaml

from analysis.run.format import FORMAT
from analysis.run.losses import LOST, loss_numbers
from search.events import Listener, Outcome, Proposal
from search.recipes.finite_space import planned_recipes
from search.recipes.fixed import FixedRecipes
from search.record.provenance import environment, now, provenance
from search.resume.fingerprint import fingerprint
from search.samplers.warm_start import PastTrial
from search.study.space import BASE
from search.study.study import Study
from trainables.config import YamlDumper
from trainables.evaluation.metrics import OBJECTIVES
from trainables.storage import Folder


@dataclass
class Record(Listener):
    """Writes the proposals and outcomes of a search into the run's folder, as they happen.

    Attributes:
        folder: the run's folder.
        endings: number of trials that have ended, which is the `order` of the next one.
        still_held: is called before each file is written, and raises if another driver has taken the run.
    """

    live_only: ClassVar[bool] = True  # what was written is not written again

    folder: Folder
    endings: int = 0
    still_held: Callable[[], object] = lambda: None
    _has_trials: bool = field(default=False, init=False)  # whether trials/ was made, which is not made anew

    def begin(
        self,
        study: Study,
        fixed: FixedRecipes,
        *,
        command: str,
        data_fingerprint: str,
        device: str,
        past_trials: Sequence[PastTrial] = (),
        found: Sequence[str] = (),
        class_names: Sequence[str] = (),
    ) -> None:
        """Write study.yaml and run.json, once, before any trial runs.

        Args:
            study: the study, as resolved.
            fixed: its fixed recipes.
            command: the command as it was typed.
            data_fingerprint: hash of the data, from its splits.
            device: PyTorch's name of the device that proposals train on.
            past_trials: proposals of earlier runs from which the sampler learns.
            found: what was found when the network was tried, a line each, for the report.
            class_names: names of the data's classes, by their numbers, for the report; empty: not known.
        """
        self.still_held()
        self.folder.write(
            "study.yaml",
            yaml.dump(study.model_dump(mode="json"), Dumper=YamlDumper, sort_keys=False).encode(),
            lasting=True,
        )
        halving = study.halving
        self.folder.write_json(
            "run.json",
            {
                "format": FORMAT,
                "study": study.name,
                "name": self.folder.parts[-1],
                "seed": study.seed,
                "objectives": [{"metric": name, "direction": OBJECTIVES[name]} for name in study.objectives],
                "threat_model": study.threat_model.model_dump(),
                "base": fixed.base.recipe.id,
                "reference": fixed.reference.recipe.id,
                "baselines": {one.recipe.id: one.name for one in fixed if one.role == "baseline"},
                "planned_recipes": planned_recipes(study, fixed),
                "constraints": [one.model_dump() | {"text": str(one)} for one in study.constraints],
                "grid": grid_record(study, fixed),
                "halving": None if halving is None else halving.model_dump() | {"ladders": halving.ladders},
                "parity_margin": study.parity_margin,
                "reference_point": study.reference_point.model_dump(mode="json"),
                "evaluation": study.protocol.model_dump(),
                "environment": environment(study.resources.cpu, device) | {"data": data_fingerprint},
                "network_findings": list(found),
                "class_names": list(class_names),
                "warm_start": list(past_trials),
                "fingerprint": fingerprint(study, data_fingerprint),
                "provenance": provenance(command),
            },
            lasting=True,
        )

    def proposed(self, proposal: Proposal) -> None:
        """Write trials/<id>/recipe.json."""
        self._trial(proposal).write_json(
            "recipe.json",
            {
                "id": proposal.recipe.id,
                "role": proposal.role,
                "name": proposal.name,
                "number": proposal.number,
                "started": now(),
                "params": dict(proposal.params),
                "distributions": dict(proposal.distributions),
                "asked": None if proposal.asked is None else asdict(proposal.asked),
                "recipe": proposal.recipe.model_dump(mode="json"),
            },
            lasting=True,
        )

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        """Write trials/<id>/lost/<n>.json; the trial has no outcome, so a resumed search goes on with it."""
        trial = self._trial(proposal)
        number = 1 + max(loss_numbers(trial), default=0)
        trial.child(LOST).write_json(f"{number}.json", {"reason": reason, "when": now()}, lasting=True)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """Write trials/<id>/outcome.json."""
        self._trial(proposal).write_json(
            "outcome.json",
            {
                "id": proposal.recipe.id,
                "state": outcome.state.value,
                "kind": outcome.ending.kind.value,
                "reason": outcome.reason,
                "order": self.endings,
                "ended": now(),
                "seconds": outcome.seconds,
                "node": outcome.node,
                "robust_correct": outcome.robust_correct,
                "examples": outcome.examples,
                "metrics": None if outcome.metrics is None else dict(outcome.metrics),
            },
            lasting=True,
        )
        self.endings += 1

    def _trial(self, proposal: Proposal) -> Folder:
        self.still_held()
        if not self._has_trials:
            self.folder.kept().child("trials").make()
            self._has_trials = True
        return self.folder.child("trials").kept().child(proposal.recipe.id)


def grid_record(study: Study, fixed: FixedRecipes) -> dict[str, Any] | None:
    """Return a study's grid as the analysis needs it, or None if the study has none.

    It has the arms, the place of each recipe in the grid by its id, and the ids of each base's recipes.
    """
    if study.grid is None:
        return None
    bases: dict[str, list[str]] = {}
    for cell in fixed.cells:
        assert cell.recipe.base is not None
        bases.setdefault(cell.arm.base, []).append(cell.recipe.base.id)
    return {
        "arms": [
            {"name": arm.name, "base": arm.base, "ordinary": arm.base == BASE, "score": arm.score}
            for arm in study.grid.arms
        ],
        "bases": {name: list(dict.fromkeys(ids)) for name, ids in bases.items()},
        "cells": {
            cell.recipe.id: {
                "arm": cell.arm.name,
                "axis": cell.axis,
                "level": cell.level,
                "seed": cell.recipe.seed,
            }
            for cell in fixed.cells
        },
    }
