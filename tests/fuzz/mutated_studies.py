"""Writes studies with something wrong or odd in them, drawn by a number, out of one that uses nearly every key."""

import copy
from typing import Any

import numpy as np
import yaml

STUDY = """\
name: mutated
description: a study that uses nearly every key
data: {name: digits, train_size: 66, validation_size: 60, split_seed: 1}
model: {name: small, normalization: true}
threat_model: {norm: linf, epsilon: 0.1}
evaluation: {steps: 2, progress_steps: 1, progress_examples: 20, examples: 40}
pretraining: {epochs: 1, learning_rate: 0.05, batch_size: 32}
baselines:
- name: pgd_at
  perturbation: {kind: pgd, epsilon: 0.1, steps: 1}
  schedule: {epochs: 1, learning_rate: 0.05}
- name: pruned_fast
  base: base
  compression: {method: channel_pruning, pruning_ratio: 0.5}
  perturbation: {kind: n_fgsm, epsilon: 0.1}
  distillation: {weight: 0.5, teacher: pgd_at}
  schedule: {epochs: 1, learning_rate: 0.05}
reference: pgd_at
space:
  compression: {pruning_ratio: {low: 0.2, high: 0.6, step: 0.2}, importance: [l1, taylor], scope: [uniform, global]}
  quantization: {weight_bits: [8, 32], activation_bits: [8, 32]}
  perturbation: {kind: [n_fgsm, pgd], epsilon: {low: 0.05, high: 0.1}, steps: {low: 1, high: 2}, warm_up: [0, 0.2]}
  loss: [{kind: cross_entropy}, {kind: trades, beta: 2}]
  distillation: {weight: [0, 0.5], temperature: [2, 4]}
  schedule:
    {epochs: {low: 1, high: 2}, learning_rate: {low: 0.02, high: 0.1}, batch_size: [32, 64], averaging: [null, 0.9]}
objectives: [robust_accuracy, train_flops]
constraints: ["clean_accuracy >= 0.1", "inference_macs <= 1 of dense"]
budget: {trials: 2, hours: 1, retries: 1}
sampler: {kind: random, startup_trials: 2}
halving: {reduction_factor: 2, grace: 0.5}
first: [{epochs: 1, scope: uniform}]
resources: {cpu: 1, max_concurrent: 2}
augmentation: {crop_padding: 1, flip: false}
parity_margin: 0.02
keep: last
seed: 3
"""
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 0.5, -0.0, 1e308, -1e308, 2**70, float("nan"), float("inf"), "", " ", "1", "1e3",
    "null", "x" * 3000, "../../etc/passwd", "torch:nn", "os:system", "no.such:thing", "ε", "\u0000", "a\nb", [], {},
    [None], [[]], {"kind": None}, {"low": 1, "high": 0}, {"low": "a", "high": "b"},
    "pgd", "random", "base", "auto", [1, 1],
    "2026-01-01", "${HOME}", "{{ x }}", 10**400,
)  # fmt: skip
WORDS: tuple[Any, ...] = (  # right in some place
    "l2", "linf", "best", "tpe", "gp", "nsga2", "cost_aware", "grid", "quasi_random", "bf16-mixed", "end_to_end_flops",
    ["robust_accuracy", "inference_macs", "train_flops"], [0.0], [8], ["l2", "random"], ["global"], [2, 3], [0, 0.5, 1],
    {"low": 0.1, "high": 0.3, "levels": 2}, {"low": 1, "high": 3}, {"low": 1, "high": 1}, 10, 20, 40, 0.25,
)  # fmt: skip
PIECES = ("\t", ":", "- ", "{", "}", "&a ", "*a", "!!python/object:os.system ", "\x07", "\ufeff", "\r\n", "#", "'", "é")


def mutated(number: int) -> bytes:
    """Returns the file of a study with one to three changes."""
    rng = np.random.default_rng(number)
    data: Any = yaml.safe_load(STUDY)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))):
        data = _changed(data, rng)
    try:
        text = yaml.safe_dump(data, sort_keys=bool(rng.random() < 0.2), allow_unicode=bool(rng.random() < 0.5))
    except (ValueError, yaml.YAMLError):
        text = STUDY  # a value that YAML cannot write
    if rng.random() < 0.15:
        text = _torn(text, rng)
    return text.encode(str(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1"])), errors="replace")


def _changed(data: Any, rng: np.random.Generator) -> Any:
    """Returns the data with one value changed, removed, renamed, repeated, or moved to where another was."""
    data = copy.deepcopy(data)
    places = list(_places(data))
    owner, key = places[int(rng.integers(len(places)))]
    kind = int(rng.integers(10))
    if kind == 0:
        del owner[key]
    elif kind == 1 and isinstance(owner, dict):
        name = str(key)
        owner[name[:-1] + rng.choice(["", "s", "_", "é"])] = owner.pop(key)
    elif kind == 2 and isinstance(owner, list):
        owner.append(copy.deepcopy(owner[key]))
    elif kind == 3:
        other, place = places[int(rng.integers(len(places)))]
        owner[key] = copy.deepcopy(other[place])
    elif kind in (4, 5, 6) and isinstance(owner[key], int | float) and not isinstance(owner[key], bool):
        scaled = owner[key] * float(rng.choice([-1, 0, 0.1, 0.5, 1.5, 2, 10, 1000]))
        owner[key] = round(scaled) if isinstance(owner[key], int) and abs(scaled) < 1e15 else scaled
    elif kind == 7:
        owner[key] = WORDS[int(rng.integers(len(WORDS)))]
    else:
        owner[key] = ODD[int(rng.integers(len(ODD)))]
    return data


def _places(data: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting:
        one = waiting.pop()
        keys: list[Any] = list(one) if isinstance(one, dict) else list(range(len(one)))
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys if isinstance(one[key], dict | list)]
    return found


def _torn(text: str, rng: np.random.Generator) -> str:
    """Returns text that was cut, has a line twice, or got a piece that does not belong there."""
    place, lines = int(rng.integers(len(text))), text.splitlines(keepends=True)
    kind = int(rng.integers(3))
    if kind == 0:
        return text[:place]
    if kind == 1:
        line = int(rng.integers(len(lines)))
        return "".join([*lines, lines[line]])
    return text[:place] + PIECES[int(rng.integers(len(PIECES)))] + text[place:]
