"""A study: one search, described by one YAML file. Every default of it lives here."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from search.space import Space
from trainables.config import Frozen, parse
from trainables.errors import InvalidInput
from trainables.recipe import (
    Compression,
    Data,
    Evaluation,
    Network,
    NoCompression,
    Quantization,
    Scoring,
    ThreatModel,
    Weights,
    unfit,
    unreached,
)
from trainables.regime import (
    FGSM,
    NFGSM,
    PGD,
    Augmentation,
    CrossEntropy,
    Loop,
    Loss,
    OrdinaryLoop,
    PositiveInt,
    Schedule,
)

DIRECTIONS: dict[str, Literal["max", "min"]] = {
    "robust_accuracy": "max",
    "clean_accuracy": "max",
    "train_flops": "min",
    "end_to_end_flops": "min",
    "inference_macs": "min",
    "inference_bitops": "min",
    "model_bytes": "min",
    "device_seconds": "min",
}
BASE = "base"  # the ordinary base's name, among those of the baselines
COMPUTE = ("train_flops", "end_to_end_flops")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="letters, digits, . _ -")]


def _trains(schedule: Schedule) -> Schedule:
    if schedule.epochs == 0:
        raise ValueError("got 0 epochs, expected at least 1")
    return schedule


TrainingSchedule = Annotated[Schedule, AfterValidator(_trains)]


class Baseline(Frozen):
    """Adversarial training fixed by hand, to compare with.

    Attributes:
        base: what it starts from: None: from scratch; `base`: the ordinary base; or the name of an earlier baseline,
            whose compute is then charged to this one too.
        compression: before training: with no base, the compressed architecture from scratch; with an adversarially
            trained one, compression and fine-tuning of a robust network.
    """

    name: Name
    base: Name | None = None
    compression: Compression = NoCompression()
    quantization: Quantization | None = None
    perturbation: Annotated[FGSM | NFGSM | PGD, Field(discriminator="kind")]
    loss: Loss = CrossEntropy()
    loop: Loop = OrdinaryLoop()
    schedule: TrainingSchedule

    @field_validator("name")
    @classmethod
    def _is_not_the_base(cls, name: str) -> str:
        if name == BASE:
            raise ValueError(f"got {name!r}, expected another name: it is the ordinary base's")
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = unfit(self.perturbation, self.loss, self.loop) + unreached(self.compression, self.schedule)
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Budget(Frozen):
    """How much to run.

    Attributes:
        trials: proposals, beside the base and the baselines.
        retries: times a trial that lost its process is started again, from its checkpoint.
    """

    trials: PositiveInt = 20
    retries: Annotated[int, Field(ge=0)] = 1


class Sampler(Frozen):
    """Multivariate TPE; its first proposals are random."""

    startup_trials: PositiveInt = 8


class Resources(Frozen):
    """What each trial gets.

    Attributes:
        cpu: CPUs, and so threads.
        gpu: share of a GPU; 0: compute on the CPU.
        max_concurrent: trials at once at most; None: as many as the cluster has room for.
    """

    cpu: PositiveInt = 1
    gpu: Annotated[float, Field(ge=0)] = 0.0
    max_concurrent: PositiveInt | None = None


class Study(Frozen):
    """One search.

    Attributes:
        pretraining: schedule of the ordinary base, which every proposal starts from.
        pretrained: a file of weights to take as that base instead.
        baselines: adversarial training to compare with.
        reference: the baseline that ratios and the verdict are held against.
        objectives: metric names; each knows its direction.
        augmentation: of the training images of every recipe.
        keep: the epoch of every recipe whose weights count.
        parity_margin: accuracy that a recipe may lose and still be at parity, 0–1.
    """

    name: Name
    description: str = ""
    data: Data
    model: Network
    threat_model: ThreatModel
    evaluation: Scoring = Scoring()
    pretraining: TrainingSchedule | None = None
    pretrained: Weights | None = None
    baselines: Annotated[tuple[Baseline, ...], Field(min_length=1)]
    reference: str
    space: Space
    objectives: tuple[str, ...] = ("robust_accuracy", "train_flops")
    budget: Budget = Budget()
    sampler: Sampler = Sampler()
    resources: Resources = Resources()
    parity_margin: Annotated[float, Field(ge=0, le=1)] = 0.01
    augmentation: Augmentation = Augmentation()
    keep: Literal["last", "best"] = "last"
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_one_base(self) -> Self:
        if (self.pretraining is None) == (self.pretrained is None):
            given = "neither" if self.pretraining is None else "both"
            raise ValueError(f"pretraining, pretrained: got {given}, expected one of them")
        return self

    @field_validator("baselines")
    @classmethod
    def _named_apart(cls, baselines: tuple[Baseline, ...]) -> tuple[Baseline, ...]:
        names = [baseline.name for baseline in baselines]
        if len(set(names)) < len(names):
            raise ValueError(f"got names {names}, expected each once")
        recipes: dict[str, str] = {}
        for number, baseline in enumerate(baselines):
            if baseline.base not in (None, BASE, *names[:number]):
                expected = ", ".join([BASE, *names[:number]])
                raise ValueError(f"got base {baseline.base!r} in {baseline.name}, expected null or one of {expected}")
            twin = recipes.setdefault(baseline.model_dump_json(exclude={"name"}), baseline.name)
            if twin != baseline.name:
                raise ValueError(f"got {twin} and {baseline.name} with the same recipe, expected each once")
        return baselines

    @field_validator("reference")
    @classmethod
    def _is_a_baseline(cls, reference: str, info: ValidationInfo) -> str:
        names = [baseline.name for baseline in info.data.get("baselines", ())]
        if names and reference not in names:
            raise ValueError(f"got {reference!r}, expected one of the baselines: {', '.join(names)}")
        return reference

    @field_validator("objectives")
    @classmethod
    def _known(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        known = ", ".join(DIRECTIONS)
        if unknown := [name for name in objectives if name not in DIRECTIONS]:
            raise ValueError(f"got {', '.join(unknown)}, expected names out of {known}")
        if len(set(objectives)) < len(objectives) or "robust_accuracy" not in objectives:
            raise ValueError(f"got {list(objectives)}, expected robust_accuracy and other names, each once")
        if not set(objectives) & set(COMPUTE):
            raise ValueError(f"got {list(objectives)}, expected {' or '.join(COMPUTE)} among them")
        return objectives

    @property
    def protocol(self) -> Evaluation:
        """How every recipe of the study is scored."""
        return Evaluation(**self.threat_model.model_dump(), **self.evaluation.model_dump())


def shipped() -> dict[str, Path]:
    """Name to file of the studies that come with Temper."""
    folder = Path(str(files("search") / "studies"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(study: str, settings: Sequence[str] = ()) -> Study:
    """Read a shipped study by name or any by path, change it by `path.to.key=value`, and validate it.

    Raises:
        InvalidInput: no such study, not YAML, every problem of its content, or no file of weights where it names one.
    """
    path = shipped().get(study, Path(study))
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = "no such study" if isinstance(error, FileNotFoundError) else error.strerror
        raise InvalidInput(f"{study}: {reason}; expected a YAML file or one of: {', '.join(shipped())}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{study}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"{study}: got {type(data).__name__}, expected the keys of a study")
    for setting in settings:
        _apply(data, setting)
    loaded = parse(Study, data)
    if loaded.pretrained is None:
        return loaded
    from trainables.weights import sealed  # late: it imports PyTorch, which other studies' validation does without

    return loaded.model_copy(update={"pretrained": sealed(loaded.pretrained)})


def _apply(data: dict[str, Any], setting: str) -> None:
    """Set one `path.to.key=value` in nested dicts and lists; the value is YAML."""
    path, equals, text = setting.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", path):
        raise InvalidInput(f"--set {setting}: expected path.to.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InvalidInput(f"--set {setting}: {text!r} is not a YAML value") from None
    *parents, last = path.split(".")
    place: Any = data
    try:
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise InvalidInput(f"--set {setting}: nothing in the study lies at {path}") from None
