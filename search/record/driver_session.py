"""Records each driver's session in the run directory: when it began and where, when it ended and why."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from signal import SIGINT

from analysis.export.study_folder import FOLDERS
from analysis.run.sessions import BEGAN, ENDED, SESSIONS, End, session_numbers
from cluster.connection.interrupts import SIGNALS, Interrupted
from cluster.connection.runtime_env import temper_version
from cluster.connection.session import IN_A_JOB
from search.events import Listener, Proposal
from search.failures import ending_of
from search.record.lease import Lost
from search.record.provenance import now
from trainables.local_files import PATIENCE
from trainables.storage import Folder
from trainables.user_modules import user_folders

NOTHING_LEFT = "nothing was left to run"


class Closing(Listener):
    """Remembers why a search proposes nothing more, for the record of its session.

    Attributes:
        reason: the reason, in words.
        unfinished: number of trials that were left unfinished since their processes or nodes were lost.
    """

    def __init__(self) -> None:
        self.reason = NOTHING_LEFT
        self.unfinished = 0

    def closed(self, reason: str) -> None:
        self.reason = reason

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        self.unfinished += 1


@contextmanager
def driver_session(
    folder: Folder,
    command: str,
    *,
    resumes: bool,
    hours_before: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Closing]:
    """Write sessions/<n>/began.json when the context is entered, and ended.json when it is left, with the reason.

    A driver that has lost its run to another one writes no end, since the run is the other's.

    Args:
        folder: the run's folder, in which run.json has been written.
        command: the command as it was typed.
        resumes: whether another driver worked on the run before; its session may not have been recorded.
        hours_before: hours for which earlier drivers worked on the run.
        clock: returns a time in seconds.

    Yields:
        A listener that the search must have, which remembers why nothing more was proposed.
    """
    number = 1 + max(session_numbers(folder), default=1 if resumes else 0)
    place, started, closing = folder.child(SESSIONS, str(number)), clock(), Closing()

    def end(why: End, reason: str, patience: float = PATIENCE) -> None:
        place.kept(patience).write_json(
            ENDED, {"why": why.value, "reason": reason, "when": now(), "hours": (clock() - started) / 3600}
        )

    place.write_json(
        BEGAN,
        {
            "when": now(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": temper_version(),
            "command": command,
            FOLDERS: [] if IN_A_JOB in os.environ else [str(one) for one in user_folders()],  # a job's soon go
            "hours_before": hours_before,
        },
    )
    try:
        yield closing
    except Lost:
        raise
    except BaseException as error:
        with suppress(OSError):  # e.g. of a full storage: the error that ended the session is the one to report
            if isinstance(error, KeyboardInterrupt):
                end(End.INTERRUPTED, error.reason if isinstance(error, Interrupted) else SIGNALS[SIGINT], 0.0)
            else:
                end(End.FAILED, ending_of(str(error) or type(error).__name__).detail or "", 0.0)
        raise
    if closing.unfinished:
        end(End.FAILED, f"{closing.unfinished} of its trials lost their processes or nodes; {closing.reason}")
    else:
        end(End.FINISHED, closing.reason)
