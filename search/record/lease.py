"""Lets one driver at a time hold a run, by a lease that it renews with new files and loses when it dies.

lease/<term>/ is claimed by one driver; terms are numbered from 1. The holder writes beat-<n> there every few seconds,
and `released` when it ends. Another driver may claim the next term once this one was released, its process is gone, or
no new beat was seen for the length of a lease, by the clock of the one who watches: clocks are never compared.
"""

import getpass
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from analysis.run.sessions import BEAT, LEASES, SEARCH, read_sessions
from search.record.claim import claim, claims
from search.record.holder import GONE, RUNNING, STOPPED, holder_of, state_of, this_process, words
from trainables.errors import InvalidInput, MachineFault, TemperError
from trainables.storage import Folder

RELEASED, STOP = "released", "stop"
BEAT_SECONDS = 5.0  # from one renewal to the next
LEASE_SECONDS = 60.0  # without a renewal for so long, a driver has lost its run to whoever claims it
AWAY_SHARE = 0.5  # of a lease, for which no look may find the claim: then the folder is taken for gone
SILENT_BEATS = 2.5  # a holder whose last renewal is older than a lease is watched for so many renewals more
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while a laptop sleeps


class Lost(TemperError):
    """Raised in a driver that has lost its run to another one."""


class Held(InvalidInput):
    """Raised where another driver holds a run."""


def elapsed() -> float:
    """Return a time in seconds that no change of the machine's clock moves."""
    return time.clock_gettime(_CLOCK)


@dataclass
class Lease:
    """A run that this process holds. As a context it renews itself from a thread, and is released at the end.

    The folder of a new run in which no search has begun by then is removed.

    Attributes:
        run: the run's folder.
        term: number of the term.
        is_new: whether this driver has made the run's folder.
        lost: why this driver holds the run no more, in words; None while it holds it.
        asked: who asked this driver to propose nothing more, in words; None while nobody has.
        on_lost: is called once, in whichever thread notices that the run is lost.
    """

    run: Folder
    term: int
    beat: float = BEAT_SECONDS
    length: float = LEASE_SECONDS
    is_new: bool = False
    lost: str | None = None
    asked: str | None = None
    on_lost: Callable[[], object] = field(default=lambda: None)
    _renewed: float = field(default_factory=elapsed)
    _number: int = 0
    _missed: float | None = None  # when a look first did not find this driver's claim; None: the last one did
    _looking: threading.Lock = field(default_factory=threading.Lock)  # the renewing thread looks, and so does `check`
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        with suppress(OSError):  # the claim is written; what follows says better that the storage is full
            self._renew()
        self._thread = threading.Thread(target=self._keep, name="temper-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=self.length)
        if self.lost is None:
            with suppress(OSError):  # e.g. of a full storage: this process is soon gone, which serves as well
                self._look()
                if self.lost is None:
                    self._release()

    def check(self) -> None:
        """Check that this driver still holds the run; call it before anything is written.

        The storage is asked only where the last renewal is so old that another driver may have claimed the run.

        Raises:
            Lost: another driver has claimed it, or its folder is gone.
        """
        if self.lost is None and elapsed() - self._renewed > self.length / 2:
            self._look()
        if self.lost is not None:
            raise Lost(self.words)

    @property
    def words(self) -> str:
        """What happened where the run was lost, for people."""
        return f"{self.run}: {self.lost}; this driver ends, and writes nothing more"

    @property
    def _place(self) -> Folder:
        return self.run.child(LEASES, str(self.term)).kept(patience=0.0)

    def _release(self) -> None:
        begun = self.run.exists("run.json") or self.run.child("trials").names()
        if self.is_new and not begun and _latest(self.run) == self.term:  # else it is the run of who came after
            self.run.remove()
        elif claims(self._place):  # else the folder was moved or removed, and is not to be made anew
            self._place.write(RELEASED, b"")
            self._delete_beats(keep=0)

    def _keep(self) -> None:
        while not self._ended.wait(self.beat):
            with suppress(OSError):  # tried again at the next beat; until somebody claims the run, it is this driver's
                self._look()
                if self.lost is None and self._missed is None:
                    self._heed()
                    self._renew()
            if self.lost is not None:
                return

    def _heed(self) -> None:
        """Find out whether somebody has asked this driver to stop."""
        if self.asked is None and self._place.exists(STOP):
            who = "somebody"
            with suppress(OSError, ValueError, KeyError, TypeError):  # torn: it is there, which is what counts
                who = str(self._place.read_json(STOP)["who"])
            self.asked = f"asked to stop by {who}"

    def _renew(self) -> None:
        asked = elapsed()
        self._number += 1
        self._place.write(f"beat-{self._number}", b"")
        self._renewed = asked
        self._delete_beats(keep=1)

    def _delete_beats(self, keep: int) -> None:
        for number in _beats(self._place.names()):
            if number <= self._number - keep:
                self._place.delete(f"beat-{number}")

    def _look(self) -> None:
        """Find out whether another driver has claimed a later term, or the run's folder was moved or removed."""
        with self._looking:
            later, before = _latest(self.run), self.lost
            self._missed = None if later else self._missed or elapsed()
            if later > self.term:
                who = words(holder_of(self.run.child(LEASES, str(later))))
                self.lost = f"{who} has gone on with this run, since this driver was silent for {self.length:.0f} s"
            elif self._missed is not None and elapsed() - self._missed >= AWAY_SHARE * self.length:
                self.lost = "the folder was moved or removed, or its claim in there, or its storage is away"
            if before is None and self.lost is not None:
                self.on_lost()


def ask_to_stop(run: Folder) -> str:
    """Ask the driver that searches in a run to propose nothing more; it heeds that at its next beat.

    Returns:
        Who that is, in words.

    Raises:
        InvalidInput: no search works on the run, or something else does, which cannot be asked.
    """
    place, sessions = run.child(LEASES, str(_latest(run))), read_sessions(run)
    if has_ended(run) or not sessions or sessions[-1].end is not None:
        raise InvalidInput(f"{run}: no search works on it, so nothing is there to stop: `temper status {run.typed}`")
    holder = holder_of(place)
    if (purpose := holder.get("purpose", SEARCH)) != SEARCH:
        raise InvalidInput(f"{run}: {words(holder)} works on it by `temper {purpose}`, which cannot be asked to stop")
    who = "somebody"
    with suppress(KeyError, OSError, ImportError):  # a container may know no name of its user
        who = getpass.getuser()
    place.write_json(STOP, {"who": f"{who} on {this_process()['host']}"})
    return words(holder)


def has_ended(run: Folder) -> bool:
    """Return whether the driver that held a run last has released it, or is gone."""
    place = run.child(LEASES, str(_latest(run)))
    return not claims(place) or place.exists(RELEASED) or state_of(holder_of(place)) == GONE


def await_end(run: Folder, *, length: float = LEASE_SECONDS) -> None:
    """Wait until the driver that holds a run has ended.

    Args:
        run: the run's folder.
        length: seconds without a renewal of its lease after which it is taken for dead.

    Raises:
        MachineFault: it is dead, so that nobody ends the search.
    """
    seen, until = list[int](), elapsed() + length
    while not has_ended(run):
        place = run.child(LEASES, str(_latest(run)))
        if (beats := _beats(place.names())) != seen:
            seen, until = beats, elapsed() + length
        elif elapsed() > until:
            who = f"{run}: {words(holder_of(place))}"
            raise MachineFault(f"{who} gives no sign of life for {length:.0f} s; `temper resume {run.typed}` goes on")
        time.sleep(min(1.0, length / 4))


def acquire(
    run: Folder,
    *,
    purpose: str = SEARCH,
    say: Callable[[str], object] = lambda text: None,
    beat: float = BEAT_SECONDS,
    length: float = LEASE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Claim a run for this driver.

    Where the last driver's end is not known, it is watched for up to the length of a lease.

    Args:
        run: the run's folder.
        purpose: the command that it is held for, which tells others whether it can be asked to stop.
        say: prints a line, if there is to wait.
        beat: seconds from one renewal of a lease to the next.
        length: seconds without a renewal after which a lease is lost.
        sleep: waits for so many seconds.

    Raises:
        Held: another driver holds the run, or was quicker to claim it.
        OSError: the storage cannot be written.
    """
    last = _latest(run)
    if last:
        _await_end(run, last, say, beat, length, sleep)
    mine = run.child(LEASES, str(last + 1))
    about = {"when": datetime.now(UTC).isoformat(timespec="milliseconds"), "purpose": purpose}
    if not claim(mine, json.dumps(this_process() | about).encode()) or _latest(run) != last + 1:
        raise Held(f"{run}: {words(holder_of(mine))} has just begun to work on it")
    return Lease(run, last + 1, beat, length)


def _await_end(
    run: Folder, term: int, say: Callable[[str], object], beat: float, length: float, sleep: Callable[[float], None]
) -> None:
    """Return once the holder of a term has ended or is dead; raise Held where it lives."""
    place = run.child(LEASES, str(term))
    holder = holder_of(place)
    state = state_of(holder)
    names = place.names()
    if RELEASED in names or state == GONE:
        return
    who = f"{run}: {words(holder)}"
    if state == RUNNING:
        raise Held(f"{who} works on it; wait until it ends, or end it")
    seconds = SILENT_BEATS * beat if _age(place, names) > length else length
    what = "is stopped" if state == STOPPED else "may still work on it"
    say(f"{who} {what}; waiting up to {seconds:.0f} s for a sign of life")
    until, beats = elapsed() + seconds, _beats(names)
    while elapsed() < until:
        sleep(min(1.0, beat / 2))
        if place.local is not None:  # a client of NFS lists anew what it has changed, else up to a minute later
            place.write("look", b"")
            place.delete("look")
        names, holder = place.names(), holder or holder_of(place)  # it was looked at while its claim was being written
        state = state_of(holder)
        if RELEASED in names or state == GONE:
            return
        if _beats(names) != beats or state == RUNNING:
            raise Held(f"{run}: {words(holder)} works on it; wait until it ends, or end it")


def _age(place: Folder, names: list[str]) -> float:
    """Return how long ago a lease was renewed, in seconds by this machine's clock; 0 where that is not known.

    It only shortens how long a holder is watched, so a clock that is wrong does no harm.
    """
    moments = [moment for name in names if BEAT.fullmatch(name) and (moment := place.modified(name)) is not None]
    return (datetime.now(UTC) - max(moments)).total_seconds() if moments else 0.0


def _latest(run: Folder) -> int:
    """Return the number of the last term that a driver has claimed, 0 without any."""
    place = run.child(LEASES)
    terms = sorted((int(name) for name in place.names() if name.isdigit()), reverse=True)
    return next((term for term in terms if claims(place.child(str(term)))), 0)


def _beats(names: list[str]) -> list[int]:
    return [int(found[1]) for found in map(BEAT.fullmatch, names) if found]
