"""The call that says how robust a network is: image by image, and what it refuses."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.checkout import ROOT
from tests.support.linear_network import known
from trainables.assessment.evaluate_model import evaluate_model
from trainables.errors import InvalidInput
from trainables.evaluation.config import ThreatModel

LINF = ThreatModel(epsilon=0.02)


class Labels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).argsort(1)


def test_results_are_given_for_each_image() -> None:
    given = known("linf", images=60)
    labels = given.labels.clone()
    labels[:6] = (labels[:6] + 1) % 5  # mistakes
    found = evaluate_model(given.model, given.images, labels, LINF)
    assert found.clean.tolist() == [False] * 6 + [True] * 54
    assert found.clean_accuracy == 0.9
    assert found.broken_by[:6] == ("clean",) * 6
    assert [name is None for name in found.broken_by] == found.robust.tolist()
    assert set(found.broken_by) <= {"clean", None, *(turn.name for turn in found.turns)}
    assert found.scored is not None
    assert found.scored_accuracy is not None
    assert bool((found.robust <= found.scored).all())
    assert bool((found.scored <= found.clean).all())
    assert 0 < found.robust_accuracy <= found.scored_accuracy < 0.9
    assert sum(turn.broken for turn in found.turns) == int(found.clean.sum() - found.robust.sum())


def test_the_same_seed_gives_the_same_result() -> None:
    given = known("linf", images=40)
    first, second = (evaluate_model(given.model, given.images, given.labels, LINF, attack="quick") for _ in range(2))
    assert first.broken_by == second.broken_by


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": torch.rand(4, 16)}, r"images: got torch.float32 of shape \(4, 16\), expected"),
        ({"images": torch.zeros(4, 1, 4, 4, dtype=torch.uint8)}, r"images: got torch.uint8"),
        ({"images": torch.full((4, 1, 4, 4), 2.0)}, r"got pixels from 2 to 2, expected them in \[0, 1\]"),
        ({"images": torch.full((4, 1, 4, 4), torch.nan)}, r"got pixels from nan"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, r"labels: got torch.int64 of shape \(3,\)"),
        ({"labels": torch.zeros(4)}, r"labels: got torch.float32"),
        ({"labels": torch.tensor([0, 1, 2, 5])}, r"labels: got 0 to 5, the model scores 5 classes"),
        ({"labels": torch.tensor([0, 1, 2, -1])}, r"labels: got -1 to 2"),
        ({"images": torch.rand(0, 1, 4, 4), "labels": torch.zeros(0, dtype=torch.long)}, r"n ≥ 1"),
        ({"model": nn.Flatten(0)}, r"model: gave \(32,\), expected scores of shape"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(16, 1))}, r"gave \(2, 1\), expected scores"),
        ({"model": nn.Flatten(0, 2)}, r"gave \(8, 4\), expected scores"),
        ({"model": Labels()}, r"gave torch.int64, expected floating-point scores, not labels"),
        ({"model": nn.Flatten}, r"model: got the class Flatten, expected a network, such as Flatten\(\)"),
        ({"model": "net.pt"}, r"model: got str, expected a network"),
        ({"images": "all"}, r"images: got str, expected a tensor"),
        ({"labels": [0, 1, None, 3]}, r"labels: got list, expected a tensor"),
        ({"labels": torch.ones(4, dtype=torch.bool)}, r"labels: got torch.bool"),
        ({"threat_model": 0.1}, r"threat_model: got 0.1, expected .*ThreatModel\(norm='linf', epsilon=0.1\)"),
        ({"threat_model": {"epsilon": 3}}, r"^threat_model: epsilon: got 3, expected a number in"),
        ({"attack": "pgd"}, r"^attack: got 'pgd', expected one of quick, standard, full"),
        ({"batch_size": 0}, r"^batch_size: got 0, expected at least 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(changed: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {
        "model": known("linf", images=1).model,
        "images": torch.rand(4, 1, 4, 4),
        "labels": torch.tensor([0, 1, 2, 3]),
        "threat_model": LINF,
    } | changed
    with pytest.raises(InvalidInput, match=words):
        evaluate_model(**given)


def test_the_network_itself_may_be_the_source_of_further_examples() -> None:
    given = known("linf", images=20)
    found = evaluate_model(given.model, given.images, given.labels, LINF, attack="quick", source=given.model)
    alone = evaluate_model(given.model, given.images, given.labels, LINF, attack="quick")
    assert found.robust.tolist() == alone.robust.tolist()


class Several(nn.Module):
    """Gives its scores first, and features beside them."""

    def __init__(self, scores: nn.Module, kind: type) -> None:
        super().__init__()
        self.scores, self.kind = scores, kind

    def forward(self, x: Tensor) -> Any:
        found = self.scores(x)
        return {"logits": found, "features": x} if self.kind is dict else (found, x)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_all_forms_of_the_same_network_and_images_give_the_same_result(context: Any) -> None:
    given = known("linf", images=30)
    expected = evaluate_model(given.model, given.images, given.labels, LINF, attack="quick")
    labels, images = given.labels, given.images
    with context():
        forms = [
            evaluate_model(given.model.forward, images.clone(), labels, LINF, attack="quick"),
            evaluate_model(Several(given.model, dict), images.numpy(), labels.int(), LINF, attack="quick"),
            evaluate_model(Several(given.model, tuple), images, labels.tolist(), dict(LINF), attack="quick"),
        ]
        assert not torch.is_grad_enabled()
    assert 0 < expected.robust_accuracy < 1
    for one in forms:
        assert one.broken_by == expected.broken_by
        assert one.threat_model == LINF


class Changing(nn.Module):
    """Shifts the images that it is given in place."""

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        return x.flatten(1)[:, :5]


class Cut(nn.Module):
    """Gives scores that no gradient passes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach().flatten(1)[:, :5]


class WithoutGradients(nn.Module):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :5]


class Constant(nn.Module):
    """Gives scores that do not depend on the images, though they have a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 5, requires_grad=True)


class InPlaceFirst(nn.Module):
    """Changes nothing of images in [0, 1], but autograd refuses it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(x).flatten(1)[:, :5]


class Pairs(nn.Module):
    """Takes two images at once."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, -1, 4, 4).flatten(2).transpose(0, 1).reshape(len(x), -1)[:, :5]


@pytest.mark.parametrize("white_box", [True, False])
@pytest.mark.parametrize(
    ("model", "words", "gradient"),
    [
        (Changing(), "model: changes the images that it is given, expected them left as they are", False),
        (Cut(), r"no gradient reaches its images, .*such as `detach\(\)`.*`white_box=False` attacks without", True),
        (WithoutGradients(), "no gradient reaches its images, expected one, since attacks follow it", True),
        (Constant(), "no gradient reaches its images, .*: its scores do not depend on them", True),
        (InPlaceFirst(), r"fails on images that need a gradient \(RuntimeError: a leaf Variable.*`white_box", True),
        (Pairs(), r"model: cannot be called with 1 image \(RuntimeError: .*takes any number of images", False),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 5).double()),
            r"cannot be called with 2 images \(RuntimeError: .*the images are torch.float32, its parameters "
            r"torch.float64: `model.to\(torch.float32\)`",
            False,
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 5).bfloat16()), "its parameters torch.bfloat16: `model.to", False),
    ],
)
def test_a_network_that_cannot_be_attacked_is_refused_in_words_and_the_images_stay(
    model: nn.Module, words: str, gradient: bool, white_box: bool
) -> None:
    images, labels = torch.rand(6, 1, 4, 4), torch.arange(6).remainder(5)
    kept = images.clone()
    if gradient and not white_box:
        assert not evaluate_model(model, images, labels, LINF, attack="quick", white_box=False).white_box
    else:
        with pytest.raises(InvalidInput, match=words):
            evaluate_model(model, images, labels, LINF, attack="quick", white_box=white_box)
    assert torch.equal(images, kept)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:FutureWarning")
def test_a_network_of_torchscript_is_attacked_as_the_module_that_it_was_made_of() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5)).eval()
    images = torch.rand(40, 1, 4, 4)
    with torch.no_grad():
        labels = model(images).argmax(1)
    scripted: nn.Module = torch.jit.script(model)
    expected = evaluate_model(model, images, labels, LINF, attack="quick")
    found = evaluate_model(scripted, images, labels, LINF, attack="quick", source=scripted)
    assert found.broken_by == expected.broken_by
    assert 0 < found.robust_accuracy < 1
    assert found.unreliable == ()


def test_the_package_hands_it_on_without_importing_torch_before_it_is_asked_for() -> None:
    code = (
        "import sys, trainables; assert 'torch' not in sys.modules; assert 'evaluate_model' in trainables.__all__\n"
        "from trainables import ThreatModel; assert 'torch' not in sys.modules\n"
        "from trainables import evaluate_model, Evaluation; print(evaluate_model.__module__)\n"
        "try: trainables.evaluate_modle\nexcept AttributeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == [
        "trainables.assessment.evaluate_model",
        "module 'trainables' has no attribute 'evaluate_modle'",
    ]
