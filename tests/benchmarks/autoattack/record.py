"""Runs AutoAttack's standard ensemble on each network, and goes on where it was stopped; `make autoattack` calls it.

It needs pyautoattack, which is no dependency of Temper's: the make target installs it into a folder of its own. Minutes
to an hour and more a network on a CPU; what was attacked so far is written after every hundred images (`--chunk`). On a
card (`--device cuda`) all images at once are a minute or two.
"""

import argparse
import logging
import sys
import time
from dataclasses import replace

import torch
from torch import Tensor

from tests.benchmarks.autoattack import networks
from tests.benchmarks.autoattack.answers import ATTACKS, CLEAN, STANDS, Answers, read, weights_hash, write

CHUNK, SEED = 100, 0
ENSEMBLE = "pyautoattack 0.2.0, standard, seed 0"


def seconds_on(device: torch.device) -> float:
    """Returns a clock: processor time, which other processes take none of; on a card, time when its work is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def attack(subject: networks.Subject, images: Tensor, labels: Tensor) -> tuple[str, dict[str, float]]:
    """Attacks images (n, channels, height, width); returns what broke each, and the seconds by attack."""
    from pyautoattack import AutoAttack  # type: ignore[import-not-found]  # lies in a folder of the benchmark's own

    device = images.device
    ensemble = AutoAttack(subject.model, norm="Linf", eps=subject.epsilon, seed=SEED, version="standard", device=device)
    with torch.no_grad():
        right = subject.model(images).argmax(1) == labels
    broken_by = [STANDS if one else CLEAN for one in right.tolist()]
    seconds = {}
    for number, name in enumerate(ATTACKS, start=1):
        standing = [index for index, one in enumerate(broken_by) if one == STANDS]
        if not standing:
            break
        ensemble.attacks_to_run = [name]
        started = seconds_on(device)
        found, _ = ensemble.run_standard_evaluation(images[standing], labels[standing], batch_size=len(standing))
        with torch.no_grad():
            stands = subject.model(found).argmax(1) == labels[standing]
        for index, one in zip(standing, stands.tolist(), strict=True):
            if not one:
                broken_by[index] = str(number)
        seconds[name] = seconds_on(device) - started
    return "".join(broken_by), seconds


def record(name: str, device: torch.device, chunk: int = CHUNK) -> Answers:
    """Attacks what was not attacked of a network's images yet, a chunk at a time, and writes after each."""
    subject = networks.subject(name).to(device)
    answers = read(name) or Answers(
        recipe=networks.recipe(name).model_dump(mode="json", exclude_defaults=True),
        sha256=weights_hash(name),
        epsilon=subject.epsilon,
        ensemble=ENSEMBLE,
        images=len(subject.labels),
    )
    while not answers.complete:
        start = len(answers.broken_by)
        part = slice(start, min(start + chunk, answers.images))
        broken_by, seconds = attack(subject, subject.images[part], subject.labels[part])
        total = {one: round(answers.seconds.get(one, 0.0) + seconds.get(one, 0.0), 1) for one in ATTACKS}
        answers = replace(answers, broken_by=answers.broken_by + broken_by, seconds=total, device=device.type)
        write(name, answers)
        print(f"{name}: {len(answers.broken_by)}/{answers.images}, {answers.stands.mean():.3f} stand", flush=True)
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="networks; without any, all")
    parser.add_argument("--train", action="store_true", help="train networks that have no weights yet")
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda")
    parser.add_argument("--chunk", type=int, default=CHUNK, help="images that are attacked at once, then written")
    options = parser.parse_args()
    logging.getLogger("auto-attack").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    tracing = sys.gettrace()
    for name in options.names or networks.NAMES:
        if options.train and not networks.path_of(name).exists():
            networks.train(name)
        record(name, options.device, options.chunk)
        sys.settrace(tracing)  # the ensemble takes it away, FACTS of pyautoattack 0.2.0


if __name__ == "__main__":
    main()
