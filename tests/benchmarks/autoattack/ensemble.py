"""Compares Temper's ensemble with AutoAttack's standard one: which images still stand, and in how much time.

AutoAttack's answers and its processor time are those that `record` has kept. Time differs from machine to machine and
from day to day, so `--again N` has AutoAttack attack the first N images of each network once more, and compares the two
in one run; it needs pyautoattack, see `record`. Of each attack of Temper's it prints the share of the time and what it
broke, so that one sees which part costs what.
"""

import argparse
from collections import Counter

import numpy as np
import torch

from tests.benchmarks.autoattack import answers, networks
from tests.benchmarks.autoattack.record import attack as standard_ensemble
from tests.benchmarks.autoattack.record import seconds_on
from trainables.ensemble.ensemble import ENSEMBLES, run_turns
from trainables.evaluation.config import ThreatModel


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="networks; without any, all that were recorded")
    parser.add_argument("--attack", choices=list(ENSEMBLES), default="standard")
    parser.add_argument("--again", type=int, default=0, metavar="N", help="images that AutoAttack attacks again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda, where seconds are the card's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shares, parts, broken, most = [], dict[str, float](), Counter[str](), -1
    print(f"{'':32} stands AutoAttack more fewer   time, of its")
    for name in options.names or networks.NAMES:
        found = answers.read(name)
        if found is None or not found.complete:
            continue
        subject = networks.subject(name).to(options.device)
        first = slice(0, options.again or None)
        images, labels = subject.images[first], subject.labels[first]
        began = seconds_on(options.device)
        attacked = run_turns(
            subject.model,
            images,
            labels,
            ThreatModel(epsilon=subject.epsilon),
            ENSEMBLES[options.attack],
            batch_size=256 if options.device.type == "cpu" else len(labels),  # as many at once as AutoAttack is given
            seed=options.seed,
        )
        seconds = seconds_on(options.device) - began
        theirs = sum(found.seconds.values())
        if options.again:
            began = seconds_on(options.device)
            standard_ensemble(subject, images, labels)
            theirs = seconds_on(options.device) - began
        stands, standard = attacked.stands, found.stands[first]
        more, fewer = int((stands & ~standard).sum()), int((standard & ~stands).sum())
        most = max(most, int(stands.sum()) - int(standard.sum()))
        shares.append(seconds / theirs)
        for turn in attacked.turns:
            parts[turn.name] = parts.get(turn.name, 0.0) + turn.seconds
            broken[turn.name] += turn.broken
        print(
            f"{name:32} {stands.mean():.3f}   {standard.mean():.3f}   {more:4d} {fewer:4d}   {seconds:6.1f} s "
            f"{shares[-1]:.3f}",
            flush=True,
        )
    if not shares:
        raise SystemExit("no network has complete answers: run `make autoattack`")
    total = sum(parts.values())
    print(f"{len(shares)} networks: at most {most} more stand; time in the mean {np.mean(shares):.3f} of AutoAttack's")
    for part, seconds in parts.items():
        print(f"  {part:20} {seconds / total:6.1%} of the time, broke {broken[part]}")


if __name__ == "__main__":
    main()
