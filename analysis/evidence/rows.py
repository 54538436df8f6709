"""Sums up what was found of each entry of a confirmation: means over its seeds, for tables."""

from dataclasses import dataclass

import numpy as np

from analysis.evidence.confirmation import Confirmation, Entry
from analysis.run.summary import summary


@dataclass(frozen=True)
class Row:
    """What was found of one entry, as means over the seeds that are trained and attacked.

    What a search had said of it, and a weak attack, stand beside the ensemble's answer, so that the table shows how
    much they flattered.

    Attributes:
        entry: whom it is about.
        seeds: number of seeds that it is the mean of; with 0, all numbers are NaN.
        validation: robust accuracy on the validation split under the search's attack, 0–1.
        scored: the same on the test split.
        robust: robust accuracy on the test split under the ensemble, 0–1; of a quantized network the lower of the two
            numbers that follow.
        surrogate, file: of a quantized network, robust accuracy as it was trained, attacked through its rounding, and
            of the file that it is deployed as, each the mean; NaN of others.
        spread: standard deviation of `robust` over the seeds; NaN for fewer than two.
        clean: accuracy on the test split without an attack, 0–1.
        train_flops: marginal training compute, FLOPs.
        end_to_end_flops: the same with the ordinary base, FLOPs.
        mac_ratio: multiply-accumulates of one image, as a share of the dense network's.
        inference_macs: multiply-accumulates of one image.
        doubtful: number of seeds whose numbers cannot be trusted.
        recipe: the recipe in words; empty where no seed is trained.
    """

    entry: Entry
    seeds: int
    validation: float
    scored: float
    robust: float
    surrogate: float
    file: float
    spread: float
    clean: float
    train_flops: float
    end_to_end_flops: float
    mac_ratio: float
    inference_macs: float
    doubtful: int
    recipe: str


def rows(confirmation: Confirmation) -> list[Row]:
    """Return a row for each entry of a confirmation, in its order."""
    return [row(confirmation, entry) for entry in confirmation.entries]


def row(confirmation: Confirmation, entry: Entry) -> Row:
    """Return the row of one entry."""
    found = confirmation.of(entry)

    def measured(name: str) -> float:
        return _mean([trial.metrics[name] for trial, _ in found])

    robust = [float(record.counted.mean()) for _, record in found]
    return Row(
        entry=entry,
        seeds=len(found),
        validation=measured("robust_accuracy"),
        scored=_mean([float(record.scored.mean()) for _, record in found]),
        robust=_mean(robust),
        surrogate=_mean([float(record.robust.mean()) for _, record in found if record.deployed is not None]),
        file=_mean([float(record.deployed.mean()) for _, record in found if record.deployed is not None]),
        spread=float(np.std(robust, ddof=1)) if len(robust) > 1 else float("nan"),
        clean=_mean([float(record.clean.mean()) for _, record in found]),
        train_flops=measured("train_flops"),
        end_to_end_flops=measured("end_to_end_flops"),
        mac_ratio=measured("mac_ratio"),
        inference_macs=measured("inference_macs"),
        doubtful=sum(bool(record.unreliable) for _, record in found),
        recipe=summary(found[0][0].recipe) if found else "",
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def standing_after(confirmation: Confirmation, entry: Entry) -> dict[str, float]:
    """Return, by attack in the order of first turns, the share of images that stand once it has had its turns, 0–1.

    An attack is given only what stood after those before it. The shares are means over the seeds, and of a quantized
    network those of its surrogate.
    """
    standing, left = {}, row(confirmation, entry).clean
    for attack, shares in broken_by(confirmation).items():
        left -= shares.get(entry.name, 0.0)
        standing[attack] = left
    return standing


def broken_by(confirmation: Confirmation) -> dict[str, dict[str, float]]:
    """Return by attack, in the order of their first turns, and by entry: the share of images that it broke, 0–1.

    An attack is given only what stood after those before it, so of one entry the shares add up to the clean accuracy
    less the robust one. They are means over the seeds; an attack that has several turns has their sum.
    """
    found: dict[str, dict[str, float]] = {}
    for entry in confirmation.entries:
        results = confirmation.of(entry)
        for _, record in results:
            for attack, _, broken, _ in record.turns:
                shares = found.setdefault(attack, {})
                shares[entry.name] = shares.get(entry.name, 0.0) + broken / len(record.clean) / len(results)
    return found
