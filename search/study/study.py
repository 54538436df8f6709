"""Defines the study, which describes one search as its YAML file says it, with every default."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from analysis.pareto.reference_point import ReferencePoint
from search.study.algorithms import AUTO, Budget, Halving, Sampler
from search.study.constraints import Constraint
from search.study.grid import Grid, Name
from search.study.ranges import OneOrMore
from search.study.resources import ROLES, Resources
from search.study.space import BASE, Space
from trainables.attacks.config import Adversarial
from trainables.compression.config import Compression, NoCompression, Quantization
from trainables.config import Frozen, Seed, Several
from trainables.data.config import Data, DataSet
from trainables.evaluation.config import Scoring, ScoringProtocol, ThreatModel
from trainables.evaluation.metrics import COMPUTE, OBJECTIVES
from trainables.losses.config import CrossEntropy, Loss, SoftTerm
from trainables.models.config import Network, Weights
from trainables.recipe.compatibility import unfit, unreached
from trainables.recipe.schedule import Augmentation, Loop, OrdinaryLoop, Precision, Schedule
from trainables.user_code import Reference
from trainables.user_source import OURS
from trainables.value_forms import number_of


def _trains(schedule: Schedule) -> Schedule:
    if schedule.epochs == 0:
        raise ValueError("got 0 epochs, expected at least 1")
    return schedule


TrainingSchedule = Annotated[Schedule, AfterValidator(_trains)]


class Teaching(SoftTerm):
    """Distillation of a baseline: how much soft labels weigh in its loss, and whose they are.

    Attributes:
        teacher: name of the teacher, `base` or an earlier baseline, other than the baseline's own base. None: its base
            is its teacher.
    """

    teacher: Name | None = None


class Baseline(Frozen):
    """Adversarial training that the study fixes by hand, to which proposals are compared.

    Attributes:
        name: name of the baseline.
        base: the network that it starts from. None: none, it trains from scratch; `base`: the ordinary base; or the
            name of an earlier baseline, whose compute is then charged to this one too.
        compression: compression before training. Without a base, the compressed architecture is trained from scratch;
            with an adversarially trained base, a robust network is compressed and fine-tuned.
        quantization: bits that it is trained for; None: floating point.
        perturbation: the attack that it is trained against.
        loss: what training minimises.
        loop: how often each batch is trained on.
        schedule: how long and how fast it is trained.
        distillation: soft labels to learn from; a teacher's compute is charged like a base's.
    """

    name: Name
    base: Name | None = None
    compression: Compression = NoCompression()
    quantization: Quantization | None = None
    perturbation: Adversarial
    loss: Loss = CrossEntropy()
    loop: Loop = OrdinaryLoop()
    distillation: Teaching | None = None
    schedule: TrainingSchedule

    @field_validator("name")
    @classmethod
    def _is_not_the_base(cls, name: str) -> str:
        if name == BASE:
            raise ValueError(f"got {name!r}, expected another name: it is the ordinary base's")
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = unfit(self.perturbation, self.loss, self.loop, self.distillation)
        problems += unreached(self.compression, self.schedule)
        if self.distillation is not None and self.distillation.teacher == self.base:
            problems.append(
                "distillation.teacher: got null without a base, expected a name"
                if self.base is None
                else f"distillation.teacher: got {self.base}, its own base, expected null, which stands for it"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Study(Frozen):
    """One search: what it trains, searches over and compares with, for which objectives, and on what budget.

    Attributes:
        name: name of the study.
        description: one line about it, for people.
        data: the data set and its splits.
        other_data: a data set of the same classes and form from elsewhere, on whose test images confirmed networks are
            measured too; nothing else reads it.
        model: the network.
        threat_model: norm and epsilon of the attacks that robustness is scored under.
        evaluation: how strong the scoring attack is.
        pretraining: schedule of the ordinary base, from which proposals start, unless the space says otherwise.
        pretrained: a file of weights that is the ordinary base instead.
        baselines: adversarial training to which proposals are compared.
        reference: name of the baseline that ratios and the verdict are held against.
        space: what is searched over; None: nothing is proposed.
        grid: recipes that run beside the proposals, at every level of compression.
        objectives: names of metrics; each metric has its direction.
        constraints: bounds that a recipe must satisfy to be on the frontier, e.g. `clean_accuracy >= 0.85`.
        budget: limits of the search.
        sampler: the sampler that proposes recipes.
        halving: how proposals are stopped early; None: every one runs to its end.
        first: proposals to begin with, as parameters by name; parameters that are left out are sampled.
        resources: what each trial gets of the cluster.
        reference_point: bounds of the region that the search is about: how much robustness a recipe may give up, and
            how much compute it may take; what lies outside adds nothing to the hypervolume.
        parity_margin: robust accuracy that a recipe may lose against the reference and still be at parity, 0–1.
        augmentation: augmentation of the training images of every recipe.
        keep: the epoch of every recipe whose weights are kept.
        precision: precision of the passes of training; recipes with quantization train in float32 in any case.
        seed: seed of the search and of its recipes.
        ship: files and folders beside the study that its functions read, by their paths from its folder. They are sent
            to other machines with the modules, and lie there beside them.
        listeners: functions of the user's that make what is told of the search, such as an experiment tracker; see
            `search.monitoring.user_listeners`. They are no part of what a resumed search must not change.
    """

    name: Name
    description: str = ""
    data: Data
    other_data: DataSet | None = None
    model: Network
    threat_model: ThreatModel
    evaluation: Scoring = Scoring()
    pretraining: TrainingSchedule | None = None
    pretrained: Weights | None = None
    baselines: OneOrMore[Baseline]
    reference: str
    space: Space | None = None
    grid: Grid | None = None
    objectives: Several[str] = ("robust_accuracy", "train_flops")
    constraints: Several[Constraint] = ()
    budget: Budget = Budget()
    sampler: Annotated[Sampler, Field(validate_default=True)] = Sampler()
    halving: Halving | None = None
    first: Several[dict[str, Annotated[float | int | str | None, BeforeValidator(number_of)]]] = ()
    resources: Resources = Resources()
    reference_point: ReferencePoint = ReferencePoint()
    parity_margin: Annotated[float, Field(ge=0, le=1)] = 0.01
    augmentation: Augmentation = Augmentation()
    keep: Literal["last", "best"] = "last"
    precision: Precision = "float32"
    seed: Seed = 0
    ship: Several[str] = ()
    listeners: Several[Reference] = ()

    @field_validator("ship")
    @classmethod
    def _stays_beside(cls, ship: tuple[str, ...]) -> tuple[str, ...]:
        for one in ship:
            parts = PurePosixPath(one).parts
            if not parts or one.startswith(("/", "~")) or ".." in parts or "\\" in one:
                raise ValueError(f"got {one!r}, expected a path from the study's folder, to what lies in it")
            if parts[0] in OURS:
                raise ValueError(f"got {one!r}, expected another name than that of Temper's packages")
        return ship

    @model_validator(mode="after")
    def _has_one_base(self) -> Self:
        if (self.pretraining is None) == (self.pretrained is None):
            given = "neither" if self.pretraining is None else "both"
            raise ValueError(f"pretraining, pretrained: got {given}, expected one of them")
        return self

    @model_validator(mode="after")
    def _has_something_to_run(self) -> Self:
        if self.space is not None and self.space.pretraining_epochs is not None:
            if self.pretraining is None:
                raise ValueError("space.pretraining_epochs: got a range with pretrained weights, expected pretraining")
            if "end_to_end_flops" not in self.objectives:
                raise ValueError(
                    "space.pretraining_epochs: got a range, but pretraining counts in no objective; "
                    "expected end_to_end_flops among the objectives"
                )
        if self.budget.trials and self.space is None:
            raise ValueError(f"budget.trials: got {self.budget.trials} without a space, expected a space or 0")
        if self.first and self.space is None:
            raise ValueError("first: got proposals without a space, expected a space or none")
        if self.grid is not None:
            known = [BASE, *(baseline.name for baseline in self.baselines)]
            for arm in self.grid.arms:
                if arm.base not in known:
                    raise ValueError(f"grid.arms: got base {arm.base!r} in {arm.name}, expected {', '.join(known)}")
        return self

    @field_validator("sampler")
    @classmethod
    def _is_named(cls, sampler: Sampler) -> Sampler:
        return sampler.model_copy(update={"kind": "cost_aware"}) if sampler.kind == AUTO else sampler

    @model_validator(mode="after")
    def _knows_when_it_has_converged(self) -> Self:
        if self.budget.stop == "converged" and self.sampler.kind != "cost_aware":
            raise ValueError(
                f"budget.stop: got converged with sampler.kind {self.sampler.kind}, which does not model what a recipe "
                "would gain; expected cost_aware, or patience instead"
            )
        return self

    @model_validator(mode="after")
    def _has_a_finite_grid(self) -> Self:
        if self.sampler.kind == "grid" and self.space is not None and self.space.endless:
            endless = ", ".join(f"space.{name}" for name in self.space.endless)
            raise ValueError(f"sampler.kind: got grid with an endless {endless}, expected levels there")
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
            teacher = None if baseline.distillation is None else baseline.distillation.teacher
            if teacher not in (None, BASE, *names[:number]):
                expected = ", ".join([BASE, *names[:number]])
                raise ValueError(f"got teacher {teacher!r} in {baseline.name}, expected null or one of {expected}")
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

    @field_validator("space")
    @classmethod
    def _has_its_teachers(cls, space: Space | None, info: ValidationInfo) -> Space | None:
        names = [BASE, *(baseline.name for baseline in info.data.get("baselines", ()))]
        unknown = [] if space is None else [name for name in space.distillation.teacher if name not in names]
        if "baselines" in info.data and unknown:
            raise ValueError(f"got distillation.teacher {', '.join(unknown)}, expected names out of {', '.join(names)}")
        return space

    @model_validator(mode="after")
    def _can_measure_energy(self) -> Self:
        without = [role for role in ROLES if self.resources.of(role).device != "cuda"]
        if "energy_joules" in self.objectives and without:
            where = "" if len(without) == len(ROLES) else f" for {', '.join(without)}"
            raise ValueError(
                f"objectives: got energy_joules with resources.gpu 0{where}, expected a GPU, whose meter is read"
            )
        return self

    @field_validator("objectives")
    @classmethod
    def _known(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        known = ", ".join(OBJECTIVES)
        if unknown := [name for name in objectives if name not in OBJECTIVES]:
            raise ValueError(f"got {', '.join(unknown)}, expected names out of {known}")
        if len(set(objectives)) < len(objectives) or "robust_accuracy" not in objectives:
            raise ValueError(f"got {list(objectives)}, expected robust_accuracy and other names, each once")
        if not set(objectives) & set(COMPUTE):
            raise ValueError(f"got {list(objectives)}, expected {' or '.join(COMPUTE)} among them")
        return objectives

    def precision_with(self, quantization: Quantization | None) -> Precision:
        """Return the precision that a recipe trains in.

        With quantization it is float32, since quantized values lie on a grid that bfloat16 cannot represent.
        """
        return self.precision if quantization is None else "float32"

    @property
    def protocol(self) -> ScoringProtocol:
        """The evaluation by which every recipe of the study is scored."""
        return ScoringProtocol(**self.threat_model.model_dump(), **self.evaluation.model_dump())


def compute_of(study: Study) -> str:
    """Return the metric of compute that a study is judged by: end-to-end if that is an objective, else marginal."""
    return "end_to_end_flops" if "end_to_end_flops" in study.objectives else "train_flops"
