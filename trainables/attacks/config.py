"""Defines what a study may say of an attack: its kind, radius, steps and warm-up. Imports no torch.

Each kind of attack is a class here, which also says where the attack's code lies. To add a kind, add such a class, its
name in the union at the end of this file, and one file of code.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from trainables.config import Frozen, Length, PositiveInt, Share
from trainables.user_code import OneOf, Reference, members
from trainables.value_forms import number_of, radius_words

EPSILON = "a number in (0, 0.5] such as 8/255, for pixels in [0, 1]"
Epsilon = Annotated[float, BeforeValidator(number_of), Field(gt=0, le=0.5, description=EPSILON)]
Norm = Literal["linf", "l2"]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]  # a keyword argument's name


def _plain(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str | None) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(f"got {value!r:.200}, expected a number, text, true, false or null")
    return value


Setting = Annotated[bool | int | float | str | None, BeforeValidator(_plain)]


class PerturbationConfig(Frozen):
    """Base of all perturbations: it has all that the rest of Temper asks, so that no other code names the kinds.

    Attributes:
        implementation: `package.module:name` of a function that takes the configuration and a share (0–1] of its
            strength, and returns the `trainables.attacks.attack.Attack`; it is imported when it is first needed, since
            it needs PyTorch.
        adversarial: whether the perturbation changes the images at all.
        own_metric: name of a final metric: networks trained on this perturbation are scored by it as well, beside the
            study's PGD; None: they are not.
    """

    implementation: ClassVar[str]
    adversarial: ClassVar[bool] = True
    own_metric: ClassVar[str | None] = None

    def words(self) -> str:
        """Describes the perturbation in a few words, for tables and progress lines."""
        raise NotImplementedError

    def at(self, *, epsilon: float, steps: int) -> Self:
        """Returns the same perturbation with another radius and, if it has several steps, another number of them."""
        strength = {"epsilon": epsilon, "steps": steps}
        return self.model_copy(update={name: strength[name] for name in strength if name in type(self).model_fields})


class NoPerturbation(PerturbationConfig):
    """No perturbation: ordinary training on the images as they are."""

    implementation = "trainables.attacks.registry:Unperturbed.of"
    adversarial = False

    kind: Literal["none"] = "none"

    def words(self) -> str:
        return "ordinary"


class AttackConfig(PerturbationConfig):
    """Base of all attacks: the settings that every attack has.

    Attributes:
        warm_up: share of the training steps over which epsilon (and the step size) rises linearly from 0; 0: none.
    """

    warm_up: Share = 0.0

    def _words(self, name: str, epsilon: float, norm: Norm = "linf") -> str:
        length = " L2" if norm == "l2" else ""
        return f"{name}{length} ε {radius_words(epsilon, digits=3)}" + (
            f" warm-up {self.warm_up:.0%}" if self.warm_up else ""
        )


class FGSM(AttackConfig):
    """FGSM from a random start: one gradient step from a uniform start, projected onto the ball (arXiv 2001.03994).

    Attributes:
        epsilon: radius of the L-infinity ball, in [0, 1] pixel units.
        step_size: length of the step; None: 1.25 epsilon, as published.
    """

    implementation = "trainables.attacks.fgsm:FgsmAttack.of"

    kind: Literal["fgsm"] = "fgsm"
    epsilon: Epsilon
    step_size: Length | None = None

    def words(self) -> str:
        return self._words("FGSM", self.epsilon)


class NFGSM(AttackConfig):
    """N-FGSM: one gradient step of epsilon from noise of up to 2 epsilon, not projected (arXiv 2202.01181).

    Attributes:
        epsilon: length of the step, in [0, 1] pixel units.
    """

    implementation = "trainables.attacks.fgsm:NFgsmAttack.of"

    kind: Literal["n_fgsm"] = "n_fgsm"
    epsilon: Epsilon

    def words(self) -> str:
        return self._words("N-FGSM", self.epsilon)


class PGD(AttackConfig):
    """PGD: projected gradient ascent from a random start (arXiv 1706.06083).

    Attributes:
        norm: norm of the ball: largest pixel difference (linf) or Euclidean length (l2).
        epsilon: radius of the ball, for pixels in [0, 1].
        steps: gradient steps per batch.
        step_size: length of a step; None: 2.5 epsilon / steps.
    """

    implementation = "trainables.attacks.pgd:PgdAttack.of"

    kind: Literal["pgd"] = "pgd"
    norm: Norm = "linf"
    epsilon: Length
    steps: PositiveInt
    step_size: Length | None = None

    @field_validator("epsilon")
    @classmethod
    def _in_pixels(cls, epsilon: float, info: ValidationInfo) -> float:
        return radius(epsilon, info)

    def words(self) -> str:
        return self._words(f"PGD-{self.steps}", self.epsilon, self.norm)


class PublishedPGD(AttackConfig):
    """PGD as the code of arXiv 2403.09441 runs it, to repeat that study; see `trainables.attacks.adver_fine`.

    Attributes:
        epsilon: radius of the L-infinity ball, in [0, 1] pixel units; a step is 2 epsilon / steps.
        steps: gradient steps per batch.
    """

    implementation = "trainables.attacks.adver_fine:AdverFineAttack.of"
    own_metric = "robust_accuracy_as_published"

    kind: Literal["pgd_as_published"] = "pgd_as_published"
    epsilon: Epsilon
    steps: PositiveInt = 20

    def words(self) -> str:
        return self._words(f"PGD-{self.steps} as published", self.epsilon)


class UserAttack(AttackConfig):
    """The user's own attack; `trainables.attacks.user_attack` says how its function is called.

    Attributes:
        kind: `module:function`.
        norm: the norm that the attack's bound is measured in.
        epsilon: strength of the attack, for pixels in [0, 1]; the attack itself declares how far it may move an image.
        settings: further keyword arguments of the function.
    """

    implementation = "trainables.attacks.user_attack:user_attack"

    kind: Reference
    norm: Norm = "linf"
    epsilon: Length
    settings: dict[_Name, Setting] = {}

    @field_validator("epsilon")
    @classmethod
    def _in_pixels(cls, epsilon: float, info: ValidationInfo) -> float:
        return radius(epsilon, info)

    @field_validator("settings")
    @classmethod
    def _are_further_ones(cls, settings: dict[str, Setting]) -> dict[str, Setting]:
        if twice := sorted({"epsilon", "norm"} & set(settings)):
            raise ValueError(f"got {', '.join(twice)}, expected other names: the function is given these anyway")
        return settings

    def words(self) -> str:
        settings = [f"{name} {value}" for name, value in self.settings.items()]
        return self._words(" ".join([self.kind, *settings]), self.epsilon, self.norm)

    def __hash__(self) -> int:  # recipes serve as keys, but the dict `settings` has no hash
        return hash((self.kind, self.norm, self.epsilon, self.warm_up, frozenset(self.settings.items())))


def radius(epsilon: float, info: ValidationInfo) -> float:
    """Checks an epsilon against the norm, which is validated before it, and returns the epsilon.

    An L-infinity epsilon above 0.5 is refused (ValueError), because it was given in 0–255 units by mistake.
    """
    if info.data.get("norm") == "linf" and epsilon > 0.5:
        raise ValueError(f"got {epsilon:g}, expected {EPSILON}")
    return epsilon


_Attack = FGSM | NFGSM | PGD | PublishedPGD | UserAttack
Adversarial = Annotated[_Attack, OneOf("kind")]
Perturbation = Annotated[NoPerturbation | _Attack, OneOf("kind")]
CONFIGS: Mapping[str, type[PerturbationConfig]] = members(Perturbation, "kind")  # by kind
PERTURBATION: TypeAdapter[Perturbation] = TypeAdapter(Perturbation)  # from plain data


def attack_config(kind: str) -> type[PerturbationConfig]:
    """Returns the configuration class of a kind: one of `CONFIGS`, or `UserAttack` for `module:function`."""
    return CONFIGS.get(kind, UserAttack)


def recorded_words(recorded: Mapping[str, Any]) -> str:
    """Describes a perturbation from a run's record, which another version of Temper may have written.

    A perturbation that this version does not know is described by the values in the record.
    """
    try:
        return PERTURBATION.validate_python(dict(recorded)).words()
    except ValidationError:
        values = [f"{name} {value}" for name, value in recorded.items() if name != "kind" and value]
        return " ".join([str(recorded.get("kind", "unknown perturbation")), *values])
