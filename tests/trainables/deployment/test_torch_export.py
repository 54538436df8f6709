"""Programs of torch.export: the same scores for any number of images, or a refusal that says what it is about."""

import io
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

from trainables.deployment.torch_export import to_program
from trainables.errors import InvalidInput


class Recurrent(nn.Module):
    """An LSTM over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.out = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.out(self.rows(x.flatten(1, 2))[0][:, -1]))


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


def test_a_residual_network_has_a_program() -> None:
    network = torchvision.models.resnet18(num_classes=4).eval()
    program = torch.export.load(io.BytesIO(to_program(network, (3, 32, 32)))).module()
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(program(images), network(images))


def test_what_cannot_be_followed_is_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be written by torch.export .*data-dependent") as raised:
        to_program(Branching(), (1, 8, 8))
    assert "\n" not in str(raised.value)
    assert capsys.readouterr() == ("", "")
