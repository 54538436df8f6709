"""Estimates how long a search will take and what it will cost, from planned compute and measured speeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.preflight.workload import Work
from trainables.estimation.speed import Speed

START_SECONDS = 12.0  # from the command to the first trial's first epoch (two cores, Ray 2.60)
HANDOVER_SECONDS = 0.2  # taken by Tune and Ray between two trials in one slot, with reused actors
HOUR = 3600.0


@dataclass(frozen=True)
class Slots:
    """The cluster's slots on one type of device, with their measured speeds. A slot runs one trial at a time.

    Attributes:
        device: type of the device: the accelerator's label, or CPU.
        count: number of slots, which is the number of trials at once.
        fixed: speed of a slot at fixed recipes.
        proposed: speed of a slot at proposals.
        devices: number of GPUs, or the share of one, that each slot holds; without GPUs the number of CPUs.
    """

    device: str
    count: int
    fixed: Speed
    proposed: Speed
    devices: float

    def training_seconds(self, work: Work) -> float:
        """Return the seconds that one trial trains: so many for each pass of a batch, and so many for each FLOP.

        A small network spends its time on passes, a large one on FLOPs. The two timed recipes, of which one is larger,
        tell these apart; where they do not, a recipe is as fast as the one that was timed for it.
        """
        pass_seconds, flop_seconds = self._rates(work)
        return pass_seconds * work.passes + flop_seconds * work.flops

    def _rates(self, work: Work) -> tuple[float, float]:
        """Solve seconds per FLOP = passes per FLOP · seconds per pass + seconds per FLOP, without negative numbers."""
        one, other = self.fixed, self.proposed
        if one.passes_per_flop == other.passes_per_flop:
            return 0.0, 1 / self.speed(work).flops_per_second
        slope = (1 / one.flops_per_second - 1 / other.flops_per_second) / (one.passes_per_flop - other.passes_per_flop)
        rest = 1 / one.flops_per_second - slope * one.passes_per_flop
        if slope < 0:  # the smaller network is the faster one: passes cost nothing that was measured
            return 0.0, 1 / self.speed(work).flops_per_second
        if rest < 0:  # passes alone take the time
            speed = self.speed(work)
            return 1 / (speed.flops_per_second * speed.passes_per_flop), 0.0
        return slope, rest

    def speed(self, work: Work) -> Speed:
        """Return the speed of the recipe that was timed for this work."""
        return self.proposed if work.role == "proposed" else self.fixed


@dataclass(frozen=True)
class Estimate:
    """How long a search is expected to take, and what it is expected to cost.

    Attributes:
        trials: number of recipes.
        hours: hours of wall time.
        device_hours: hours for which trials hold devices, by type of device.
        cost: `device_hours` times the price, in the price's currency; None without a price.
    """

    trials: int
    hours: float
    device_hours: Mapping[str, float]
    cost: float | None


def estimate(
    works: Sequence[Work], slots: Sequence[Slots], *, price: float | None = None, hours: float | None = None
) -> Estimate:
    """Estimate wall time, device hours and cost of a study's work on a cluster.

    All slots work, each at its own speed, until the work is done. The search takes at least as long as its longest
    chain of recipes that wait for each other, which no number of slots shortens: start + max(work / slots, chain).

    Args:
        works: the work, from `workload`.
        slots: the slots of each type of device, at least one.
        price: price of an hour of one device.
        hours: the study's limit on wall time.
    """
    # A type of device does the share count / seconds of the whole work in each second.
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
    """Return the seconds that one trial takes in a slot, with the handover from the trial before it."""
    return HANDOVER_SECONDS + slots.training_seconds(work) + slots.speed(work).around(work.epochs)


def _total(works: Sequence[Work], slots: Slots) -> float:
    return sum(work.trials * seconds_of(work, slots) for work in works)


def _longest_chain(works: Sequence[Work], slots: Slots) -> float:
    named = {work.name: work for work in works if work.name}

    def until(work: Work) -> float:
        before = named.get(work.after) if work.after else None
        return seconds_of(work, slots) + (until(before) if before is not None else 0.0)

    return max(until(work) for work in works)
