"""Holds confirmed picks against the reference and against fast opponents, and says which picks are at parity."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.evidence.confirmation import Confirmation, Entry, read_confirmations
from analysis.evidence.crossed import estimate
from analysis.evidence.rows import row, standing_after
from analysis.evidence.sign_flip import sign_flip_p
from analysis.evidence.verdict import Answer, Verdict, bounds, decide
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


def pairs(confirmation: Confirmation) -> list[tuple[Entry, Entry]]:
    """Return each pick with what it is held against, and with its opponents."""
    return [
        (pick, other)
        for pick in confirmation.entries
        for other in confirmation.entries
        if pick.part == "pick" and (other.part == "against" or other.pick == pick.name)
    ]


def comparisons(confirmation: Confirmation) -> list[Comparison]:
    """Return the comparisons of which both sides are whole; their bounds hold for all that are planned together."""
    planned, made = pairs(confirmation), []
    for pick, other in planned:
        if not (confirmation.whole(pick) and confirmation.whole(other)):
            continue
        differences = confirmation.robust(pick) - confirmation.robust(other)
        verdict = decide(
            estimate(differences),
            margin=confirmation.margin,
            comparisons=len(planned),
            looks=confirmation.looks.get((pick.id, other.id), 0),
            refused="" if other.part == "opponent" else confirmation.no_yardstick(other),
        )
        made.append(Comparison(pick, other, verdict, sign_flip_p(differences.mean(axis=1))))
    return made


@dataclass(frozen=True)
class Confirmed:
    """What the strongest confirmations of a trial found.

    Attributes:
        number: the confirmation that its robust accuracy is of.
        seeds: number of fresh seeds.
        robust_accuracy: under the ensemble on the test split, the mean over seeds, 0–1.
        low, high: its two-sided 95% interval, over seeds and images.
        clean: accuracy on the test split without an attack, the mean over seeds, 0–1.
        scored: the same under the search's attack.
        parity: whether it is at parity with the reference, by the strongest confirmation that held it against it; None:
            it is the reference, or was not held against it.
        doubts: why its numbers, or the reference's, cannot be trusted; empty where every check passed.
        after: by attack of the ensemble, in order: what stands once it has had its turns, the mean over seeds, 0–1.
    """

    number: int
    seeds: int
    robust_accuracy: float
    low: float
    high: float
    clean: float
    scored: float
    parity: Answer | None
    doubts: tuple[str, ...]
    after: Mapping[str, float] = field(default_factory=dict)


def confirmed(run: Run) -> dict[str, Confirmed]:
    """Return, by the id of the trial that was found, what the strongest confirmation of it says.

    Fast opponents are in it by the id of their recipe, which no trial of the search need have. A confirmation that did
    not hold a trial against the reference, or is not through with that, leaves an earlier answer on parity as it is.
    """
    found: dict[str, Confirmed] = {}
    held: dict[str, tuple[Answer, list[str]]] = {}  # on parity, with what there is to doubt of it
    for confirmation in sorted(read_confirmations(run), key=lambda one: (one.strength, one.number)):
        against = {one.pick.id: one for one in comparisons(confirmation) if one.other.id == run.info["reference"]}
        for entry in filter(confirmation.whole, confirmation.entries):
            level = estimate(confirmation.robust(entry))
            low, high = bounds(level, 0.025, least=0.0)
            means = row(confirmation, entry)
            if (one := against.get(entry.id)) is not None:
                held[entry.id] = one.verdict.parity, [*confirmation.doubts(entry), *confirmation.doubts(one.other)]
            parity, of_parity = held.get(entry.id, (None, []))
            doubts = [*confirmation.doubts(entry), *of_parity]
            found[entry.id] = Confirmed(
                number=confirmation.number,
                seeds=len(confirmation.seeds),
                robust_accuracy=level.mean,
                low=max(low, 0.0),
                high=min(high, 1.0),
                clean=means.clean,
                scored=means.scored,
                parity=parity,
                doubts=tuple(dict.fromkeys(doubts)),
                after=standing_after(confirmation, entry),
            )
    return found
