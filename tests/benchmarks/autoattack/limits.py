"""Measures on sound networks what two checks of an evaluation hold against a limit, and writes limits.json.

The limits of `trainables.assessment.checks` are the largest value of the sound networks and half again. It goes on
where it was stopped: minutes a network.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.autoattack import answers, networks
from trainables.assessment.evaluate_model import evaluate_model
from trainables.assessment.probes import probe
from trainables.evaluation.config import ThreatModel

MEASURED = Path(__file__).with_name("limits.json")
BATCH_SIZE, SEED = 256, 0


def read() -> dict[str, dict[str, Any]]:
    """What was measured of each network so far, by its name."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def measure(name: str) -> dict[str, Any]:
    """Evaluates one network; accuracies are 0–1.

    Returns:
        ensemble_gap: by how much PGD on two losses lies above the ensemble; single_step_gap: by how much one step lies
        above PGD on two losses; more, fewer: images that stand here and not under AutoAttack, and the other way round;
        seconds of processor time; unreliable: what the checks have found.
    """
    subject, found = networks.subject(name), answers.read(name)
    assert found is not None, "only networks with answers are measured"
    threat = ThreatModel(epsilon=subject.epsilon)
    began = time.process_time()
    made = evaluate_model(subject.model, subject.images, subject.labels, threat, attack="standard", seed=SEED)
    seconds = time.process_time() - began
    probed = probe(subject.model, subject.images, subject.labels, threat, batch_size=BATCH_SIZE, seed=SEED)
    assert made.scored is not None
    one_step = probed.single_step & probed.clean
    return {
        "images": len(made.robust),
        "robust_accuracy": made.robust_accuracy,
        "ensemble_gap": round(float(made.scored.mean()) - made.robust_accuracy, 4),
        "single_step_gap": round(float(one_step.mean() - made.scored[: len(one_step)].mean()), 4),
        "more": int((made.robust & ~found.stands).sum()),
        "fewer": int((found.stands & ~made.robust).sum()),
        "seconds": round(seconds, 1),
        "unreliable": list(made.unreliable),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="networks; without any, all whose answers are complete")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names or networks.NAMES:
        found, known = answers.read(name), read()
        if found is None or not found.complete or name in known:
            continue
        known[name] = measure(name)
        MEASURED.write_text(json.dumps(known, indent=1) + "\n")
        print(name, known[name], flush=True)
    known = read()
    for limit in ("ensemble_gap", "single_step_gap"):
        worst = max(known, key=lambda name: float(known[name][limit]))
        print(f"{limit}: {known[worst][limit]:.3f} at most, of {worst}; half again {1.5 * known[worst][limit]:.3f}")


if __name__ == "__main__":
    main()
