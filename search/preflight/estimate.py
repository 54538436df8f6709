"""How long a search will take, and what it will cost: arithmetic on planned compute and measured speeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.preflight.workload import Work
from trainables.estimation.speed import Speed

START_SECONDS = 12.0  # from the command to the first trial's first epoch (two cores, Ray 2.60)
HANDOVER_SECONDS = 0.2  # between two trials in one slot: Tune's and Ray's, with reused actors
HOUR = 3600.0


@dataclass(frozen=True)
class Slots:
    """The slots of one type of device.

    Attributes:
        device: its type: the accelerator's label, or CPU.
        count: trials at once.
        fixed: speed at what was fixed by hand.
        proposed: speed at proposals.
        devices: GPUs, or share of one, that each slot holds; on CPUs the CPUs.
    """

    device: str
    count: int
    fixed: Speed
    proposed: Speed
    devices: float


@dataclass(frozen=True)
class Estimate:
    """What to expect.

    Attributes:
        trials: recipes.
        hours: of wall time.
        device_hours: by type of device, hours that trials hold it.
        cost: `device_hours` times the price, in its currency; None without a price.
    """

    trials: int
    hours: float
    device_hours: Mapping[str, float]
    cost: float | None


def estimate(
    works: Sequence[Work], slots: Sequence[Slots], *, price: float | None = None, hours: float | None = None
) -> Estimate:
    """Spread the work over the slots.

    All slots work at their own speed until the work is done, or until the longest chain of recipes that wait for each
    other is, which no number of slots shortens. Then it is: start + max(work / slots, chain).

    Args:
        works: from `workload`.
        slots: of each type of device, at least one.
        price: of an hour of one device.
        hours: the study's limit on wall time.
    """
    # In the same hour a type of device does the share count / seconds of the whole.
    rates = [one.count / _total(works, one) for one in slots]
    wall = START_SECONDS + max(1 / sum(rates), min(_longest_chain(works, one) for one in slots))
    if hours is not None:
        wall = min(wall, hours * HOUR)
    held: dict[str, float] = {}
    for one in slots:
        held[one.device] = held.get(one.device, 0.0) + one.count * one.devices * wall / HOUR
    cost = None if price is None else price * sum(held.values())
    return Estimate(sum(work.trials for work in works), wall / HOUR, held, cost)


def seconds_of(work: Work, slots: Slots) -> float:
    """Seconds of one trial in a slot, with what it waits for its turn."""
    speed = slots.proposed if work.role == "proposed" else slots.fixed
    return HANDOVER_SECONDS + speed.seconds(work.flops, work.epochs)


def _total(works: Sequence[Work], slots: Slots) -> float:
    return sum(work.trials * seconds_of(work, slots) for work in works)


def _longest_chain(works: Sequence[Work], slots: Slots) -> float:
    named = {work.name: work for work in works if work.name}

    def until(work: Work) -> float:
        before = named.get(work.after) if work.after else None
        return seconds_of(work, slots) + (until(before) if before is not None else 0.0)

    return max(until(work) for work in works)
