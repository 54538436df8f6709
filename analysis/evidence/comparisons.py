"""Holds confirmed picks against the reference and against fast opponents, and says which picks are at parity."""

from dataclasses import dataclass

from analysis.evidence.confirmation import Confirmation, Entry, read_confirmations
from analysis.evidence.crossed import estimate
from analysis.evidence.sign_flip import sign_flip_p
from analysis.evidence.verdict import Answer, Verdict, decide
from analysis.run.trials import Run


@dataclass(frozen=True)
class Comparison:
    """A pick held against another entry.

    Attributes:
        pick, other: who is compared.
        verdict: what the difference of robust accuracy, pick minus other, comes to.
        p: p-value of the sign-flip test that the pick is better.
    """

    pick: Entry
    other: Entry
    verdict: Verdict
    p: float

    @property
    def is_opponent(self) -> bool:
        """Whether the other one is a fast opponent at the pick's compute."""
        return self.other.part == "opponent"


def comparisons(confirmation: Confirmation) -> list[Comparison]:
    """Return every comparison of a pick with what it is held against, and with its opponents, as far as they ran."""
    pairs = [
        (pick, other)
        for pick in confirmation.entries
        for other in confirmation.entries
        if pick.part == "pick"
        and (other.part == "against" or other.pick == pick.name)
        and confirmation.whole(pick)
        and confirmation.whole(other)
    ]
    made = []
    for pick, other in pairs:
        differences = confirmation.robust(pick) - confirmation.robust(other)
        verdict = decide(estimate(differences), margin=confirmation.margin, comparisons=len(pairs))
        made.append(Comparison(pick, other, verdict, sign_flip_p(differences.mean(axis=1))))
    return made


@dataclass(frozen=True)
class Confirmed:
    """What the strongest confirmation of a trial found.

    Attributes:
        number: the confirmation.
        seeds: number of fresh seeds.
        robust_accuracy: under the ensemble on the test split, the mean over seeds, 0–1.
        low, high: its two-sided 95% interval, over seeds and images.
        parity: whether it is at parity with the reference; None: it is the reference, or was not held against it.
        doubts: why its numbers, or the reference's, cannot be trusted; empty where every check passed.
    """

    number: int
    seeds: int
    robust_accuracy: float
    low: float
    high: float
    parity: Answer | None
    doubts: tuple[str, ...]


def confirmed(run: Run) -> dict[str, Confirmed]:
    """Return, by the id of the trial that was found, what the strongest confirmation of it says.

    Fast opponents are in it by the id of their recipe, which no trial of the search need have.
    """
    found: dict[str, Confirmed] = {}
    for confirmation in sorted(read_confirmations(run), key=lambda one: (one.strength, one.number)):
        against = {one.pick.id: one for one in comparisons(confirmation) if one.other.id == run.info["reference"]}
        for entry in filter(confirmation.whole, confirmation.entries):
            level = estimate(confirmation.robust(entry))
            held = against.get(entry.id)
            doubts = [*confirmation.doubts(entry), *(confirmation.doubts(held.other) if held else [])]
            found[entry.id] = Confirmed(
                number=confirmation.number,
                seeds=len(confirmation.seeds),
                robust_accuracy=level.mean,
                low=level.lower(0.025),
                high=level.upper(0.025),
                parity=None if held is None else held.verdict.parity,
                doubts=tuple(dict.fromkeys(doubts)),
            )
    return found
