"""A search on hosts that keep losing power and coming back, and what is left of it."""

import json
import math
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.support.faults import SETTINGS, changes, check
from tests.support.hosts import Hosts

HEAD, WORKERS = 0, (1, 2, 3, 4)
DRAW_SECONDS = 10.0  # from one draw to the next of whether a host loses power
AWAY_SECONDS = 20.0  # for which it is gone then
AFTERWARDS_SECONDS = 600.0  # within which what runs when the time is over must end


@dataclass
class Toll:
    """What became of a search.

    Attributes:
        deaths: hosts that lost power.
        ended: trials of its record that ended.
        left: trials that the driver left unfinished, having lost their processes more often than it tries; a second
            driver goes on with them.
        lost: trials of the record that have no outcome even then, or failed by no fault of their recipe.
        doubled: places in the order of ending that two trials have, and endings that were printed twice.
        resident: resident memory of the driver over the search: seconds since it began, and KiB.
    """

    deaths: int = 0
    ended: int = 0
    left: int = 0
    lost: int = 0
    doubled: int = 0
    resident: list[tuple[float, int]] = field(default_factory=list)

    def growth(self) -> float:
        """KiB an hour by which the driver's memory grew over the second half of the time."""
        later = np.array(self.resident[len(self.resident) // 2 :], dtype=float)
        return float(np.polyfit(later[:, 0] / 3600, later[:, 1], 1)[0]) if len(later) > 2 else float("nan")


def soak(hosts: Hosts, place: Path, seconds: float, chance: float, *, seed: int = 0) -> Toll:
    """Search for so long while hosts lose power, go on with what was left unfinished, and count.

    Args:
        hosts: five that are running; the first is the head, on which the driver runs and which stays.
        place: folder for the run and the driver's log.
        seconds: for which the search proposes.
        chance: that one of the hosts loses power, each DRAW_SECONDS.
        seed: of the draws.
    """
    draws, toll, began = random.Random(seed), Toll(), time.monotonic()
    limits = [f"budget.hours={seconds / 3600}", "budget.trials=100000", "budget.flops=null"]
    limits.append("resources.max_concurrent=8")
    search = ["search", "digits", "--storage", str(place), "--name", "run", "--no-try", *changes([*SETTINGS, *limits])]
    driver, away = _temper(hosts, place, *search), dict[int, float]()
    next_draw, over = 0.0, math.inf
    while driver.poll() is None:
        now = time.monotonic()
        assert now - began < seconds + AFTERWARDS_SECONDS, "the search does not end"
        for host in [one for one, until in away.items() if until < now]:
            hosts.join(host, cpus=2)
            del away[host]
        if now >= next_draw and (place / "run" / "trials").exists():  # it has begun
            next_draw, over = now + DRAW_SECONDS, min(over, now + seconds)
            toll.resident.append((now - began, _resident(driver)))
            here = [host for host in WORKERS if host not in away]
            if draws.random() < chance and len(here) > 1 and now < over:
                host = draws.choice(here)
                hosts.kill(host)
                away[host] = now + AWAY_SECONDS
                toll.deaths += 1
        time.sleep(0.2)
    assert time.monotonic() - began > seconds, f"the search ended before its time:\n{_log(place)[-1000:]}"
    toll.left = len(_without_outcome(place / "run"))
    if toll.left:
        assert _temper(hosts, place, "resume", str(place / "run")).wait(AFTERWARDS_SECONDS) == 0, _log(place)
    _count(place / "run", _log(place), toll)
    return toll


def _temper(hosts: Hosts, place: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "search", *arguments, "--address", hosts.address]
    return hosts.popen(HEAD, command, place / "driver.log")


def _log(place: Path) -> str:
    return (place / "driver.log").read_text()


def _resident(driver: "subprocess.Popen[bytes]") -> int:
    """KiB that the driver holds: the process that nsenter has become, or has started."""
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{children[0] if children else driver.pid}/status").read_text())
    return 0 if found is None else int(found[1])


def _without_outcome(run: Path) -> list[Path]:
    return [path for path in (run / "trials").iterdir() if not (path / "outcome.json").exists()]


def _count(run: Path, log: str, toll: Toll) -> None:
    """Count from the record and from what the driver printed, and check the ledger of every trial that finished."""
    outcomes = [json.loads(path.read_text()) for path in (run / "trials").glob("*/outcome.json")]
    orders = [one["order"] for one in outcomes]
    printed = len(re.findall(r"^ *\d+/\d+ +\d+s  ", log, re.MULTILINE))
    toll.ended = len(outcomes)
    toll.lost = len(_without_outcome(run)) + sum(one["state"] == "fail" for one in outcomes)
    toll.doubled = len(orders) - len(set(orders)) + max(0, printed - len(outcomes))
    assert check(run)[0] == sum(one["state"] == "complete" for one in outcomes)
