"""Runs every check of one network in order, and says how long they took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.compression.compressor import Compressors
from trainables.compute.flops import measure
from trainables.errors import InvalidInput
from trainables.models.build import frozen
from trainables.network_check.compressed import check_compressed, check_reached, left_as_is
from trainables.network_check.deployed import check_export
from trainables.network_check.error_words import in_words
from trainables.network_check.findings import Finding
from trainables.network_check.gradients import check_input_gradient, check_training_gradients
from trainables.network_check.scores import NO_TRY, check_scores, check_train_mode
from trainables.network_check.subject import Form, Subject
from trainables.network_check.trained import check_attack, check_training

QUIET_SECONDS = 3.0  # no step is shown before a check has taken so long
LARGE = 100_000_000  # parameters above which every step is shown
SLOW_SECONDS = 0.25  # of a forward pass of one image, above which two images are used in place of more


@dataclass(frozen=True)
class CheckedNetwork:
    """What the checks of a network told.

    Attributes:
        parameters: number of the network's parameters.
        forms: number of compressed forms that were checked.
        seconds: time that all checks took, s.
        findings: what they found, without anything that keeps the search from running.
    """

    parameters: int
    forms: int
    seconds: float
    findings: tuple[Finding, ...]


def check_network(subject: Subject, say: Callable[[str], object]) -> CheckedNetwork:
    """Does once all that a study will do with its network; PyTorch's random state is left as it was.

    Args:
        subject: the network, and what will be done with it.
        say: prints a line; it is called for each step after a few seconds, and for every step of a large network.

    Raises:
        InvalidInput: something does not work; the messages name the study's key, the layer, the reason and what to do.
            Every compressed form that does not work is listed.
    """
    steps = _Steps(subject.name, say)
    with torch.random.fork_rng(devices=[]):
        return _checked(subject, steps)


def _checked(subject: Subject, steps: "_Steps") -> CheckedNetwork:
    name, seed, findings = subject.name, subject.seed, list[Finding]()
    with steps.step("built"):
        model = subject.build(seed)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        slow = _forward_seconds(model, subject.x[:1]) > SLOW_SECONDS
    steps.shown = parameters > LARGE
    few = 2 if slow or steps.shown else len(subject.x)
    x, y, classes = subject.x[:few], subject.y[:few], subject.classes
    with steps.step("called"):
        findings += check_scores(model, x, classes, name)
        findings += check_train_mode(subject.build(seed), x, classes, name, subject.leftover)
    with steps.step("gradients"):
        check_input_gradient(model, x, y, name)
        findings += check_training_gradients(subject.build(seed), x, y, name)
    with steps.step("FLOPs counted"), in_words(f"{name}: its FLOPs cannot be counted", NO_TRY):
        measure(model, x[:1], subject.network.uncounted_operators)
    with steps.step("saved and loaded"):
        check_compressed((), subject.build, x, y, seed=seed, where=name)
    with steps.step("attacked"):
        attacked = subject.build(seed)
        for where, attack in subject.attacks.items():
            check_attack(attack, attacked, x, y, where)
    with steps.step("exported to ONNX"):
        findings += check_export(model, Compressors((), seed=seed), x, name)
    findings += _check_forms(subject, x, y, steps)
    for where, recipe in subject.recipes.items():
        with steps.step(f"{where} trained"):
            check_training(recipe, subject.build(seed), x, y, where)
    return CheckedNetwork(parameters, len(subject.forms), steps.seconds, tuple(dict.fromkeys(findings)))


def _forward_seconds(model: nn.Module, image: Tensor) -> float:
    """Returns the seconds that the score of one image takes."""
    with frozen(model), torch.no_grad():
        started = time.perf_counter()
        model(image.clone())
    return time.perf_counter() - started


def _check_forms(subject: Subject, x: Tensor, y: Tensor, steps: "_Steps") -> list[Finding]:
    """Checks each compressed form, and counts and exports the last one.

    Raises:
        InvalidInput: some forms do not work; it lists each.
    """
    problems: list[str] = []
    findings: list[Finding] = []
    for form in subject.forms:
        with steps.step(form.words()):
            try:
                model, compressors = check_compressed(
                    form.methods,
                    subject.build,
                    x,
                    y,
                    seed=subject.seed,
                    where=form.where,
                    advice=_advice(form),
                )
            except InvalidInput as error:
                problems += error.problems
                continue
            findings += left_as_is(compressors)
            findings += check_reached(form.methods, subject.build, model, x[:1], subject.seed, form.where)
            if form is subject.forms[-1]:
                with in_words(f"{form.where}: {form.words()}: its FLOPs cannot be counted", _advice(form)):
                    measure(model, x[:1], subject.network.uncounted_operators)
                findings += check_export(model, compressors, x, f"{form.where}: {form.words()}")
    if problems:
        raise InvalidInput(*dict.fromkeys(problems))
    return findings


def _advice(form: Form) -> str:
    return f"leave this out of {form.where}, take less of it or another method; {NO_TRY}"


class _Steps:
    """Shows the steps of a check once it has taken a few seconds, or all of them if `shown` is set.

    An exception that no check has put into words is refused by the name of the step.
    """

    def __init__(self, network: str, say: Callable[[str], object]) -> None:
        self._network, self._say, self._started, self.shown = network, say, time.perf_counter(), False

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        before = self.seconds
        if self.shown or before > QUIET_SECONDS:
            self._say(f"trying the network, {before:3.0f} s: {name}")
        with in_words(f"{self._network}: cannot be tried further, at the step '{name}'", NO_TRY):
            yield
