"""What every attack of the registry must keep to, and an attack of the user's own as well."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import one_hot

from trainables.attacks.attack import Attack, perturb
from trainables.attacks.config import (
    CONFIGS,
    FGSM,
    NFGSM,
    PGD,
    NoPerturbation,
    Perturbation,
    PublishedPGD,
    UserAttack,
    attack_config,
)
from trainables.attacks.registry import attack_of
from trainables.models.build import frozen

ENTRIES: dict[str, Perturbation] = {
    "none": NoPerturbation(),
    "fgsm": FGSM(epsilon=0.1),
    "fgsm in a short step": FGSM(epsilon=0.1, step_size=0.05),
    "fgsm that reaches every corner": FGSM(epsilon=0.1, step_size=0.25),
    "n_fgsm": NFGSM(epsilon=0.1),
    "pgd": PGD(epsilon=0.1, steps=5),
    "pgd in short steps": PGD(epsilon=0.1, steps=2, step_size=0.03),
    "pgd in one long step": PGD(epsilon=0.1, steps=1, step_size=0.5),
    "pgd in l2": PGD(norm="l2", epsilon=0.3, steps=25, step_size=0.3),
    "pgd in l2 in one long step": PGD(norm="l2", epsilon=0.3, steps=1, step_size=9.0),
    "as published": PublishedPGD(epsilon=0.1, steps=3),
    "the user's own": UserAttack(kind="tests.support.mi_fgsm:attack", epsilon=0.1, settings={"steps": 4}),
}
# Those that reach the worst case of a linear model; the others' steps and noise leave them short of their bound.
EXACT = {"none", "fgsm that reaches every corner", "pgd", "pgd in one long step", "pgd in l2", "as published"}
EXACT |= {"the user's own"}
RANDOM = {name for name in ENTRIES if name.startswith(("fgsm", "n_fgsm", "pgd"))}  # those that start from noise
W = torch.tensor([2.0, -1.0, 0.5, -3.0])

every_attack = pytest.mark.parametrize("name", ENTRIES)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, which wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_kind_is_covered() -> None:
    assert {attack_config(entry.kind) for entry in ENTRIES.values()} == set(CONFIGS.values())
    assert (len(CONFIGS), len(ENTRIES)) == (6, 12)
    assert len(EXACT) == 7
    assert len(RANDOM) == 9


def network() -> nn.Module:
    """A small convolutional network with batch normalization, for images (1, 8, 8)."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 4, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))


def linear() -> nn.Module:
    """Two classes of images (1, 2, 2); logit difference w·x with w = (2, -1, 0.5, -3)."""
    layer = nn.Linear(4, 2, bias=False)
    layer.weight.data = torch.stack([W / 2, -W / 2])
    return nn.Sequential(nn.Flatten(), layer)


def batch(count: int = 8) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 1, 8, 8, generator=seeded(1)), torch.arange(count).remainder(10)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def raw(attack: Attack, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """What an attack itself returns, where nobody checks it."""
    with frozen(model):
        return attack(model, x, target, seeded()).detach()


def distances(attack: Attack, shift: Tensor) -> Tensor:
    flat = shift.flatten(1)
    return flat.abs().amax(1) if attack.norm == "linf" else flat.norm(dim=1)


def half(x: Tensor) -> Tensor:
    return (x > 0.5).float()


@every_attack
@pytest.mark.parametrize("images", [torch.clone, torch.zeros_like, torch.ones_like, half], ids=lambda f: f.__name__)
def test_it_stays_inside_its_bound_and_the_range_of_pixels(name: str, images: Callable[[Tensor], Tensor]) -> None:
    attack, (x, y) = attack_of(ENTRIES[name]), batch()
    x = images(x)
    before = x.clone()
    adversarial = raw(attack, network(), x, y)
    assert torch.equal(x, before)
    assert adversarial.shape == x.shape
    assert adversarial.dtype == x.dtype
    assert float(distances(attack, adversarial - x).max()) <= attack.bound * (1 + 1e-5) + 1e-6
    assert bool(adversarial.isfinite().all())
    if attack.sound:
        assert float(adversarial.min()) >= 0
        assert float(adversarial.max()) <= 1
        assert torch.equal(perturb(attack, network(), x, y, seeded()), adversarial)


@every_attack
def test_a_gradient_of_zero_moves_nothing_out_of_its_bound(name: str) -> None:
    attack, model, (x, y) = attack_of(ENTRIES[name]), network(), batch()
    nn.init.zeros_(list(model.parameters())[-2])  # the last layer's weights: all classes are alike
    adversarial = raw(attack, model, x, y)
    assert bool(adversarial.isfinite().all())
    assert float(distances(attack, adversarial - x).max()) <= attack.bound * (1 + 1e-5) + 1e-6


@every_attack
def test_one_image_is_a_batch(name: str) -> None:
    attack, (x, y) = attack_of(ENTRIES[name]), batch(1)
    adversarial = perturb(attack, network(), x, y, seeded())
    assert adversarial.shape == x.shape
    assert not adversarial.requires_grad
    assert (distances(attack, adversarial - x) > 0).all() == (name != "none")


@every_attack
def test_certain_probabilities_are_as_good_as_labels(name: str) -> None:
    attack, x = attack_of(ENTRIES[name]), torch.rand(20, 1, 2, 2, generator=seeded(2))
    y = torch.arange(20).remainder(2)
    target = one_hot(y, 2).float()
    of_labels = perturb(attack, linear(), x, y, seeded())
    assert torch.allclose(perturb(attack, linear(), x, target, seeded()), of_labels, atol=1e-6)
    assert torch.equal(target, one_hot(y, 2).float())


@every_attack
def test_probabilities_that_are_not_certain_are_a_target_too(name: str) -> None:
    attack, (x, _) = attack_of(ENTRIES[name]), batch()
    target = torch.rand(8, 10, generator=seeded(3)).softmax(1)
    adversarial = perturb(attack, network(), x, target, seeded())
    assert float(distances(attack, adversarial - x).max()) <= attack.bound * (1 + 1e-5) + 1e-6


@every_attack
def test_the_model_is_left_as_it_was(name: str) -> None:
    attack, model, (x, y) = attack_of(ENTRIES[name]), network().train(), batch()
    model.get_submodule("0").eval()  # a part that is frozen stays so
    next(iter(model.parameters())).requires_grad_(False)
    modes = [module.training for module in model.modules()]
    flags = [parameter.requires_grad for parameter in model.parameters()]
    state = copy.deepcopy(model.state_dict())
    seen: list[tuple[bool, bool]] = []
    model.register_forward_pre_hook(
        lambda module, _: seen.append((module.training, any(p.requires_grad for p in module.parameters())))
    )
    perturb(attack, model, x, y, seeded())
    assert seen == [(not attack.sound, not attack.sound)] * attack.passes
    assert modes == [module.training for module in model.modules()]
    assert flags == [parameter.requires_grad for parameter in model.parameters()]
    assert all(parameter.grad is None for parameter in model.parameters())
    moved = [key for key, value in model.state_dict().items() if not torch.equal(state[key], value)]
    assert bool(moved) != attack.sound
    assert not [key for key in moved if "running" not in key and "num_batches" not in key]


class Counting(nn.Module):
    """Counts the passes through a network, forward and back to its images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.forwards, self.backwards = network, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += 1
        if x.requires_grad:
            x = x.clone()
            x.register_hook(self._came_back)  # type: ignore[no-untyped-call]  # torch left it untyped
        scores: Tensor = self.network(x)
        return scores

    def _came_back(self, _: Tensor) -> None:
        self.backwards += 1


@every_attack
def test_it_declares_the_passes_that_it_makes(name: str) -> None:
    attack, model, (x, y) = attack_of(ENTRIES[name]), Counting(network()), batch()
    perturb(attack, model, x, y, seeded())
    assert (model.forwards, model.backwards) == (attack.passes, attack.passes)
    steps = getattr(ENTRIES[name], "steps", None)
    assert steps in (None, attack.passes)


@every_attack
def test_chance_comes_from_the_generator_alone(name: str) -> None:
    attack, (x, y) = attack_of(ENTRIES[name]), batch()

    def made(seed: int, other: int) -> Tensor:
        model = network()
        torch.manual_seed(other)
        return perturb(attack, model, x, y, seeded(seed))

    assert torch.equal(made(0, 1), made(0, 2))
    assert torch.equal(made(0, 1), made(5, 1)) == (name not in RANDOM)


@every_attack
def test_a_share_of_it_is_as_much_smaller(name: str) -> None:
    # A linear model has the same gradient everywhere, so that all of the attack scales: noise, steps and bound.
    x, y = torch.full((50, 1, 2, 2), 0.5), torch.arange(50).remainder(2)
    whole = perturb(attack_of(ENTRIES[name]), linear(), x, y, seeded()) - x
    for share in (0.25, 0.5):
        attack = attack_of(ENTRIES[name], share)
        assert attack.bound == pytest.approx(share * attack_of(ENTRIES[name]).bound)
        assert attack.passes == attack_of(ENTRIES[name]).passes
        assert torch.allclose(perturb(attack, linear(), x, y, seeded()) - x, share * whole, atol=2e-6)


@every_attack
def test_it_flips_what_a_perturbation_of_its_bound_can_flip(name: str) -> None:
    # Class 0 wins by w·x. A perturbation lowers that by at most its bound times the dual norm of w: |w|₁ or |w|₂.
    attack, x = attack_of(ENTRIES[name]), torch.full((81, 1, 2, 2), 0.5)
    x[:, 0, 0, 0] = torch.linspace(0.31, 0.89, 81)
    x[:, 0, 0, 1] = torch.linspace(0.69, 0.31, 81)
    margin = x.flatten(1) @ W
    y = torch.where(margin > 0, 0, 1)
    reach = attack.bound * float(W.abs().sum() if attack.norm == "linf" else W.norm())
    can = margin.abs() < reach
    assert float((margin.abs() - reach).abs().min()) > 3e-4  # none so near that rounding decides
    adversarial = perturb(attack, linear(), x, y, seeded())
    flipped = linear()(adversarial).argmax(1) != y
    assert not bool((flipped & ~can).any())
    if name in EXACT:
        assert flipped.tolist() == can.tolist()
        assert bool(can.any()) == (name != "none")
    else:
        assert bool(flipped.any())


def test_the_suite_notices_an_attack_that_breaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each of the promises above is broken by one of these, so a check of it that could not fail would show here.
    def refused(check: Callable[[str], None], **changes: Any) -> None:
        broken = Broken(**changes)
        monkeypatch.setitem(globals(), "attack_of", lambda _, share=1.0: broken)
        with pytest.raises(AssertionError):
            check("pgd")

    refused(lambda name: test_it_stays_inside_its_bound_and_the_range_of_pixels(name, torch.clone), shift=0.2)
    refused(lambda name: test_it_stays_inside_its_bound_and_the_range_of_pixels(name, torch.ones_like), shift=0.05)
    refused(test_it_declares_the_passes_that_it_makes, passes=1)
    refused(test_a_share_of_it_is_as_much_smaller)
    refused(test_chance_comes_from_the_generator_alone)


class Broken:
    """Moves every pixel by the same shift, whatever it was asked for."""

    norm, sound, bound = "linf", True, 0.1

    def __init__(self, shift: float = 0.0, passes: int = 0) -> None:
        self.shift, self.passes = shift, passes

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        return x + self.shift
