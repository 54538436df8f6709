"""Programs of torch.export: the same scores for any number of images, or a refusal that says what it is about."""

import io
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from trainables.compression.config import Quantization
from trainables.compression.quantization import Quantizer
from trainables.deployment.torch_export import to_program
from trainables.errors import InvalidInput


class Recurrent(nn.Module):
    """An LSTM over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.out = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.out(self.rows(x.flatten(1, 2))[0][:, -1]))


class Crossed(nn.Module):
    """Attention to parts of rows, which have fewer features than the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1, 2)
        return torch.as_tensor(self.out(self.attention(x, x[..., :6], x[..., 4:])[0].mean(1)))


class Branching(nn.Module):
    """Decides by its images what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.as_tensor(self.out(x.flatten(1)))
        return scores if x.mean() > 0.5 else -scores


MADE: dict[str, Callable[[], nn.Module]] = {
    "recurrent": Recurrent,
    "attention": lambda: nn.Sequential(
        nn.Flatten(1, 2), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(64, 10)
    ),
    "attention to parts": Crossed,
    "normalized": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10)),
}


@pytest.mark.parametrize("name", MADE)
def test_a_program_computes_what_the_network_does_for_any_number_of_images(name: str) -> None:
    network = MADE[name]().train()
    program = torch.export.load(io.BytesIO(to_program(network, (1, 8, 8)))).module()
    assert network.training
    assert all(value.requires_grad for value in network.parameters())
    assert set(program.state_dict()) == set(network.state_dict())
    network.eval()
    for count in (1, 2, 7):
        images = torch.rand(count, 1, 8, 8)
        with torch.no_grad():
            torch.testing.assert_close(program(images), network(images))


def test_a_quantized_program_computes_bit_for_bit_the_same_and_can_be_attacked() -> None:
    """Its gradients pass straight through the rounding, else an attack on the file would find it robust."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 4, 3, groups=2), nn.Flatten(),
        nn.Linear(256, 10),
    ).eval()  # fmt: skip
    Quantizer(Quantization(weight_bits=4, activation_bits=8), seed=0).step(
        1, network, torch.rand(16, 1, 8, 8), torch.arange(16) % 10
    )
    program = torch.export.load(io.BytesIO(to_program(network, (1, 8, 8)))).module()
    assert set(program.state_dict()) == set(network.state_dict())
    for count in (1, 2, 7):
        images = (torch.rand(count, 1, 8, 8) * 1.5).requires_grad_()  # some are beyond the range
        expected, found = network(images), program(images)
        assert torch.equal(expected, found)
        there, here = (torch.autograd.grad(one.logsumexp(1).sum(), images)[0] for one in (expected, found))
        assert there.abs().max() > 1e-3
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-7)


def test_a_residual_network_has_a_program() -> None:
    network = torchvision.models.resnet18(num_classes=4).eval()
    program = torch.export.load(io.BytesIO(to_program(network, (3, 32, 32)))).module()
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(program(images), network(images))


class Packed(nn.Module):
    """A recurrent layer that is given a packed sequence of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.GRU(8, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        packed = pack_padded_sequence(x.flatten(1, 2), torch.full((len(x),), 8), batch_first=True)
        return torch.as_tensor(self.rows(packed)[1][-1])


class Fixed(nn.Module):
    """Computes with the number of images that it was traced with."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) / int(x.shape[0])


def test_a_number_of_images_that_is_kept_is_the_reason_that_is_told() -> None:
    with pytest.raises(InvalidInput, match=r"torch.export \(You marked n as dynamic but your code specialized it"):
        to_program(Fixed(), (1, 8, 8))


def test_packed_sequences_are_the_reason_that_is_told_with_their_place() -> None:
    with pytest.raises(
        InvalidInput, match=r"\(it packs sequences, .*\) in layer 0 \(Packed\), test_torch_export.py line \d+"
    ):
        to_program(nn.Sequential(Packed(), nn.Linear(6, 10)), (1, 8, 8))


def test_what_cannot_be_followed_is_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = r"cannot be written by torch.export .*data-dependent.* in layer Branching, test_torch_export.py line \d+$"
    with pytest.raises(InvalidInput, match=words) as raised:
        to_program(Branching(), (1, 8, 8))
    assert "\n" not in str(raised.value)
    assert capsys.readouterr() == ("", "")
