"""Claims a folder for one process, on every storage: of several that try at once, one is told that the folder is its.

Local folders and NFS have exclusive creation of a file. Arrow's object stores have no conditional write, so there each
process writes a claim with a number, and the lowest number wins.
"""

import re
import time
from collections.abc import Callable
from uuid import uuid4

from trainables.storage import Folder

CLAIM = "claim.json"
SETTLE_SECONDS = 2.0
_NUMBERED = re.compile(r"claim-(\d{6})-[0-9a-f]{32}\.json")


def claim(folder: Folder, content: bytes) -> bool:
    """Claim a folder, and return whether it is this process's now. A folder that was ever claimed stays claimed.

    Args:
        folder: the folder, which is made if it does not exist.
        content: what the claim says about this process, as JSON.

    Raises:
        OSError: the storage cannot be written.
    """
    if folder.local is not None:
        return folder.create(CLAIM, content)
    return claim_by_number(folder, content)


def claim_by_number(
    folder: Folder,
    content: bytes,
    *,
    settle: float = SETTLE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Claim a folder on a storage that can only list, write and delete, and whose listings show what was written.

    The claim's number is one more than the highest that a first listing shows. After `settle` seconds a second listing
    tells who has the lowest number. A claim that took longer than `settle` from its first listing to the end of its
    writing is withdrawn and made anew; one that lost is deleted. So two processes cannot both win: the one with the
    higher number, or with the same number and a later token, lists after the other's claim was written.

    Args:
        folder: the folder.
        content: what the claim says about this process.
        settle: seconds between writing and the second listing.
        clock: returns a time in seconds.
        sleep: waits for so many seconds.
    """
    while True:
        listed = clock()
        highest = max((int(found[1]) for found in map(_NUMBERED.fullmatch, folder.names()) if found), default=0)
        mine = f"claim-{highest + 1:06d}-{uuid4().hex}.json"
        folder.write(mine, content)
        if clock() - listed < settle:
            break
        folder.delete(mine)
    sleep(settle)
    won = min(claims(folder), default=None) == mine
    if not won:
        folder.delete(mine)
    return won


def claims(folder: Folder) -> list[str]:
    """Return the names of the claims of a folder, the one that holds it first; empty where nobody claimed it."""
    return [name for name in folder.names() if name == CLAIM or _NUMBERED.fullmatch(name)]
