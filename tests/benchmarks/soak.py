"""A search of an hour on four nodes, one of which loses power every few minutes: `make soak`, as root.

    python -m tests.benchmarks.soak --minutes 60 --folder build/soak

Nothing may be lost, nothing counted twice, and the driver's memory may grow by what the record holds and no more. The
run and the driver's log stay in the folder.
"""

import argparse
import sys
from pathlib import Path

from tests.benchmarks.machine import machine
from tests.support.hosts import Hosts, why_no_hosts
from tests.support.soak import DRAW_SECONDS, HEAD, WORKERS, soak


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="for which the search proposes (default 60)")
    parser.add_argument("--chance", type=float, default=0.03, help=f"of a loss, each {DRAW_SECONDS:g} s (default .03)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")
    parser.add_argument("--folder", type=Path, default=Path("build/soak"), help="a new folder (default build/soak)")
    options = parser.parse_args()
    if (reason := why_no_hosts()) is not None:
        sys.exit(f"no hosts can be made here: {reason}")
    options.folder.mkdir(parents=True)
    place = options.folder.resolve()
    with Hosts(1 + len(WORKERS), place) as hosts:
        hosts.start(HEAD, WORKERS, cpus=2)
        toll = soak(hosts, place, 60 * options.minutes, options.chance, seed=options.seed)
    print(f"{machine()}\n{len(WORKERS)} nodes, {options.minutes:g} minutes, seed {options.seed}\n")
    print(f"nodes that lost power              {toll.deaths}")
    print(f"trials that ended                  {toll.ended}")
    print(f"left to a second driver            {toll.left}")
    print(f"results lost                       {toll.lost}")
    print(f"results counted twice              {toll.doubled}")
    held, grown = toll.resident[-1][1] / 1024, toll.growth() / 1024
    print(f"driver's memory                    {held:.0f} MiB at the end, {grown:.1f} an hour more")
    if toll.lost or toll.doubled:
        sys.exit(1)


if __name__ == "__main__":
    main()
