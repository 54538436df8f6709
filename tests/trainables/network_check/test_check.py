"""Networks with one fault each are refused in words; unusual ones that work pass."""

import re

import pytest
import torch
from torch import nn

from tests.support import faulty_networks
from trainables.attacks.config import FGSM, NFGSM, PGD, PublishedPGD
from trainables.compression.config import ChannelPruning, NoCompression, Quantization
from trainables.errors import InvalidInput
from trainables.models.config import Network
from trainables.network_check.check import check_network
from trainables.network_check.subject import Form, Subject

PRUNED = Form("space.compression", (ChannelPruning(pruning_ratio=0.5),))
ROUNDED = Form("space.quantization", (NoCompression(), Quantization(weight_bits=4, activation_bits=8)))
X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def silent(_: str) -> None:
    """Steps are shown after a few seconds, which a busy machine may take."""


def subject(name: str, *forms: Form, leftover: str = "") -> Subject:
    return Subject(
        network=Network(name=f"tests.support.faulty_networks:{name}"),
        weights=None,
        pixels=((0.0,), (1.0,)),
        x=X.clone(),
        y=torch.arange(4),
        classes=5,
        seed=0,
        forms=forms,
        attacks={
            "threat_model": PGD(epsilon=0.1, steps=5),
            "baselines.0.perturbation": PGD(norm="l2", epsilon=0.5, steps=5),
            "baselines.1.perturbation": FGSM(epsilon=0.1),
            "baselines.2.perturbation": NFGSM(epsilon=0.1),
            "baselines.3.perturbation": PublishedPGD(epsilon=0.1),
        },
        leftover=leftover,
    )


REFUSED = {
    "ColumnsForMany": r"gives a tensor of shape \(5, [24]\) in eval mode, expected \([24], 5\)",
    "MixesTheBatch": r"other scores beside other images than alone, by up to [\d.e-]+, expected scores that do not mix",
    "BatchStatisticsInEval": "BatchNorm keeps running statistics",
    "NeedsTwoInEval": "does not take images of shape .*give me two",
    "DropoutAlwaysOn": "other scores when it is called again in eval mode, expected the same: dropout",
    "NotFinite": r"not finite with its initial weights, first in layer logarithm \(Logarithm\)",
    "DetachesItsInput": r"no gradient reaches its images, .*`detach\(\)`",
    "GivesLabels": "gives int64 numbers in eval mode, expected floating-point scores, not labels",
    "OneLabel": "does not give a tensor with a score for each of 5 classes",
    "RoundsItsInput": "no gradient reaches its images, .*a cast to whole numbers",
    "StepsOnItsInput": "the gradient of its images is 0 everywhere, .*: rounding",
    "ChangesItsInput": "changes the images that it is given",
    "Float64": "does not take images of shape",
    "RemembersTheBatchSize": r"cannot be called with [24] images at once \(RuntimeError: .*\) in "
    r"layer head \(Linear\), "
    r"faulty_networks.py line \d+; expected a network that takes any number of images",
    "other_arguments": r"takes \(shape: .*, n: int\).*'shape'\) in faulty_networks.py line \d+, expected a function of "
    r"image_shape and classes",
    "NeedsAFile": r"cannot be built \(FileNotFoundError: .*width.nowhere.json.*\) in "
    r"faulty_networks.py line \d+",
    "HoldsALock": r"cannot be copied, .*\(TypeError: .*\); expected modules that copy.deepcopy copies: no locks",
    "HidesATensor": "neither a parameter nor a buffer, such as mixing; use `register_buffer`",
    "FailsInTraining": r"cannot be called in train mode with [24] images \(RuntimeError: .*\) in layer head \(Linear\)",
    "PythonError": r"cannot be called with [24] images at once \(KeyError: [24]\) in layer "
    r"PythonError, faulty_networks.py",
    "NotFiniteGradient": "the gradient of its images is not finite",
    "ExitsAsItIsCalled": r"cannot be called with [24] images at once \(SystemExit: 2\)",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_with_a_fault_is_refused_in_words(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_network(subject(name), silent)
    text = str(refused.value)
    assert re.search(REFUSED[name], text), text
    assert text.startswith(f"model.name: tests.support.faulty_networks:{name}")
    assert "\n" not in text
    assert refused.value.exit_code == 2


WORKING = [
    "Faulty",
    "Prints",
    "ZeroHead",
    "MovesItsChannels",
    "LogProbabilities",
    "ZeroOrMore",
    "SmallLogits",
    "DrawsABuffer",
]


@pytest.mark.parametrize("name", WORKING)
def test_a_network_that_works_passes_without_a_word(name: str) -> None:
    state = torch.get_rng_state()
    checked = check_network(subject(name, PRUNED, ROUNDED), silent)
    assert [finding.text for finding in checked.findings] == []
    assert checked.forms == 2
    assert 0 < checked.seconds < 60
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_in_float64_can_be_searched_but_onnxruntime_has_no_such_convolution() -> None:
    (finding,) = check_network(subject("Float64ThatCasts", PRUNED), silent).findings[:1]
    assert finding.kind == "warning"
    assert "onnxruntime refuses the file" in finding.text


@pytest.mark.parametrize(
    ("name", "form"),
    [("Probabilities", "each row lies in [0, 1] and sums to 1"), ("Sigmoids", "all lie between 0 and 1")],
)
def test_probabilities_are_warned_of_with_what_to_do(name: str, form: str) -> None:
    (finding,) = check_network(subject(name, PRUNED), silent).findings
    assert finding.kind == "warning"
    assert f"gives probabilities ({form}), expected logits" in finding.text
    assert "remove the last softmax or sigmoid" in finding.text


def test_an_unused_layer_is_told() -> None:
    (finding,) = check_network(subject("UnusedLayer"), silent).findings
    assert finding.kind == "note"
    assert "gets no gradient for spare.weight, spare.bias" in finding.text


def test_a_batch_of_one_is_refused_where_the_network_cannot_be_trained_on_it_and_the_study_has_one() -> None:
    (finding,) = check_network(subject("NormalizesOnePixel"), silent).findings
    assert finding.kind == "note"
    assert "cannot be trained on a batch of one image" in finding.text
    assert "(BatchNorm1d)" in finding.text
    assert check_network(subject("Faulty", leftover="it has one"), silent).findings == ()
    with pytest.raises(InvalidInput, match=r"batch of one image .*in layer body.5 \(BatchNorm1d\).*; it has one"):
        check_network(subject("NormalizesOnePixel", leftover="it has one"), silent)


def test_every_form_that_does_not_work_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("layer")

    monkeypatch.setattr("trainables.compression.quantization.Quantizer.step", fails)
    monkeypatch.setattr("trainables.compression.pruning.ChannelPruner.step", fails)
    with pytest.raises(InvalidInput) as refused:
        check_network(subject("Faulty", PRUNED, ROUNDED), silent)
    one, other = refused.value.problems
    assert one.startswith("space.compression: prune 50% l1 global: step 1 fails (KeyError: 'layer')")
    assert other.startswith("space.quantization: dense and W4A8: step 1 fails (KeyError: 'layer')")
    assert "take less of it or another method; `--no-try` leaves this check out" in other


def test_what_no_check_expects_is_refused_by_the_name_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("layer")

    monkeypatch.setattr("trainables.network_check.check.check_input_gradient", fails)
    with pytest.raises(InvalidInput, match=r"cannot be tried further, at the step 'gradients' \(KeyError: 'layer'\)"):
        check_network(subject("Faulty"), silent)


def test_a_network_that_onnx_cannot_express_can_still_be_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> bytes:
        raise InvalidInput("no such operator")

    monkeypatch.setattr("trainables.network_check.deployed.to_onnx", refuses)
    (finding,) = check_network(subject("Faulty"), silent).findings
    assert (finding.kind, "no such operator; the search runs" in finding.text) == ("warning", True)


def test_without_the_optional_packages_the_export_is_said_to_be_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.deployment.onnx_runtime.PACKAGES", ("nosuchpackage",))
    (finding,) = check_network(subject("Faulty"), silent).findings
    assert (finding.kind, "the export to ONNX was not tried" in finding.text) == ("note", True)


def test_the_steps_of_a_large_network_are_shown_and_it_gets_two_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.network_check.check.LARGE", 1000)
    monkeypatch.setattr("trainables.network_check.check.check_export", lambda *_: [])  # runs the file on three images
    said: list[str] = []
    seen: list[int] = []
    monkeypatch.setattr(faulty_networks.Faulty, "forward", _noting(faulty_networks.Faulty.forward, seen))
    check_network(subject("Faulty"), lambda line: said.append(str(line)))
    assert max(seen) == 2
    check_network(subject("Faulty", PRUNED), lambda line: said.append(str(line)))
    assert [line.partition(": ")[2] for line in said[6:]] == [
        "called",
        "gradients",
        "FLOPs counted",
        "saved and loaded",
        "attacked",
        "exported to ONNX",
        "prune 50% l1 global",
    ]


def _noting(forward: object, seen: list[int]) -> object:
    def noted(self: nn.Module, x: torch.Tensor) -> object:
        seen.append(len(x))
        return forward(self, x)  # type: ignore[operator]

    return noted


def test_what_compression_leaves_as_it_is_is_listed_with_the_reason() -> None:
    told = [finding.text for finding in check_network(subject("Recurrent", PRUNED, ROUNDED), silent).findings]
    left = [text for text in told if text.startswith("left as they are: ")]
    assert len(left) == 2
    assert re.search(r"rows.* \(.+\)", left[0])
    assert "rows.weight_hh_l0 (belongs to a recurrent layer (nn.LSTM), whose weights are left)" in left[1].replace(
        "rows.weight_ih_l0, ", ""
    )


@pytest.mark.parametrize(("network", "warned"), [("Recurrent", True), ("PartlyRecurrent", False)])
def test_pruning_that_removes_nothing_is_warned_of(network: str, *, warned: bool) -> None:
    form = Form("space.compression", (ChannelPruning(pruning_ratio=0.5),))
    told = check_network(subject(network, form), silent).findings
    found = [one.text for one in told if one.kind == "warning" and "removes no channel" in one.text]
    assert found == (
        [
            "space.compression: pruning_ratio 0.5, scope global, removes no channel of this network, which stays "
            "dense: search over bits, or over larger ratios"
        ]
        if warned
        else []
    )


@pytest.mark.parametrize(("asked", "warned"), [(0.02, True), (0.6, False)])
def test_a_share_of_macs_that_pruning_cannot_come_to_is_warned_of(asked: float, *, warned: bool) -> None:
    forms = [Form("space.compression", (ChannelPruning(mac_ratio=asked, importance=one),)) for one in ("l1", "l2")]
    told = check_network(subject("PartlyRecurrent", *forms), silent).findings
    found = [one.text for one in told if one.kind == "warning"]
    assert len(found) == warned
    assert all("mac_ratio 0.02, scope global, leaves 35% of the MACs" in one for one in found)  # 4,717 of 13,432
