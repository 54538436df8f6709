"""Measures how near the search's score comes to AutoAttack's standard ensemble, and whether it ranks networks alike.

Two figures, over all networks whose answers are complete: the mean gap, which is the score minus the share of images
that stand after the ensemble; and Kendall's tau over the pairs of networks of the same data whose ensemble accuracies
differ by 1 to 5 points, close enough that a score may well confuse them. Intervals: 2,000 bootstrap draws of networks
and, the same for all networks of the same data, of images.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from tests.benchmarks.autoattack import answers, networks
from trainables.attacks.attack import Attack
from trainables.attacks.pgd import PgdAttack
from trainables.attacks.scoring_attack import ScoringAttack
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.evaluation.score import evaluate

STEPS, BATCH_SIZE = 20, 256  # as in the default `evaluation` of a study
NEAR, FAR = 0.01, 0.05  # difference of ensemble accuracies between which a pair of networks counts
DRAWS, SEED = 2000, 0
Bits = NDArray[np.bool_]
ATTACKS: Mapping[str, Callable[[float], Attack]] = {
    "two losses": lambda epsilon: ScoringAttack(epsilon=epsilon, steps=STEPS),
    "PGD": lambda epsilon: PgdAttack(epsilon=epsilon, steps=STEPS),
}


@dataclass(frozen=True)
class Compared:
    """Networks of the same data after an attack and after the ensemble.

    Attributes:
        names: their names.
        scored: (networks, images) whether the attack left an image right.
        stands: (networks, images) whether the ensemble did.
        passes: (networks,) passes that the attack made for each image that it began with.
    """

    names: tuple[str, ...]
    scored: Bits
    stands: Bits
    passes: tuple[float, ...]

    def drawn(self, generator: np.random.Generator) -> "Compared":
        """Draws as many networks and as many images, with replacement."""
        which = generator.integers(len(self.names), size=len(self.names))
        images = generator.integers(self.stands.shape[1], size=self.stands.shape[1])
        names, passes = tuple(self.names[one] for one in which), tuple(self.passes[one] for one in which)
        return Compared(names, self.scored[which][:, images], self.stands[which][:, images], passes)


def mean_gap(compared: Sequence[Compared]) -> float:
    """Returns how much higher the attack's robust accuracy is than the ensemble's, in the mean over networks."""
    return float(np.concatenate([one.scored.mean(1) - one.stands.mean(1) for one in compared]).mean())


def kendall_tau(compared: Sequence[Compared]) -> tuple[float, int]:
    """Returns Kendall's tau over pairs that are near each other, and how many they are; NaN without any.

    A pair whose scores are equal is neither concordant nor discordant (tau-a).
    """
    agreements: list[float] = []
    for one in compared:
        scored, stands = one.scored.mean(1), one.stands.mean(1)
        for a, b in combinations(range(len(one.names)), 2):
            if NEAR <= round(abs(float(stands[a] - stands[b])), 9) <= FAR:
                agreements.append(float(np.sign((scored[a] - scored[b]) * (stands[a] - stands[b]))))
    return (float(np.mean(agreements)), len(agreements)) if agreements else (float("nan"), 0)


def interval(
    figure: Callable[[Sequence[Compared]], float], compared: Sequence[Compared], draws: int = DRAWS
) -> tuple[float, float]:
    """Returns the 95% percentile interval of a figure over bootstrap draws, without those that have none (NaN)."""
    generator = np.random.default_rng(SEED)
    values = np.array([figure([one.drawn(generator) for one in compared]) for _ in range(draws)])
    low, high = np.quantile(values[~np.isnan(values)], [0.025, 0.975])
    return float(low), float(high)


def attacked(name: str, attack: Callable[[float], Attack]) -> tuple[Bits, float]:
    """Scores a network as a search does; returns which images stay right, and the passes for each image attacked."""
    subject = networks.subject(name)
    one_pass = PassCost(forward=0, input_gradient=1, full=0, full_with_input=0)
    ledger = Ledger()
    made, images, labels = attack(subject.epsilon), subject.images, subject.labels
    score = evaluate(subject.model, images, labels, made, batch_size=BATCH_SIZE, cost=one_pass, ledger=ledger)
    return score.robust, ledger.validation / int(score.clean.sum())


def compare(attack: Callable[[float], Attack]) -> list[Compared]:
    """Runs an attack on all networks whose answers are complete, by their data."""
    made = []
    for data in networks.DATA:
        found = {name: answers.read(name) for name in networks.NAMES if name.startswith(f"{data}/")}
        stands = {name: one.stands for name, one in found.items() if one is not None and one.complete}
        if not stands:
            continue
        results = [attacked(name, attack) for name in stands]
        scored = np.array([bits for bits, _ in results])
        made.append(Compared(tuple(stands), scored, np.array(list(stands.values())), tuple(p for _, p in results)))
    return made


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    for words, attack in ATTACKS.items():
        compared = compare(attack)
        print(f"{words}, {STEPS} steps\n{'':32} ensemble  score    gap  passes")
        for one in compared:
            for row, name in enumerate(one.names):
                ensemble, score = one.stands[row].mean(), one.scored[row].mean()
                missed = int((one.stands[row] & ~one.scored[row]).sum())
                more = f"  {missed} that the ensemble left" if missed else ""
                print(f"{name:32} {ensemble:8.3f} {score:6.3f} {score - ensemble:6.3f} {one.passes[row]:7.1f}{more}")
        tau, pairs = kendall_tau(compared)
        gap_low, gap_high = interval(mean_gap, compared)
        tau_low, tau_high = interval(lambda drawn: kendall_tau(drawn)[0], compared)
        count = sum(len(one.names) for one in compared)
        print(f"{count} networks: mean gap {mean_gap(compared):.3f} (95% {gap_low:.3f} to {gap_high:.3f})")
        print(f"{pairs} pairs: Kendall's tau {tau:.2f} (95% {tau_low:.2f} to {tau_high:.2f})\n", flush=True)


if __name__ == "__main__":
    main()
