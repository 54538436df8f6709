"""What is left of tensors, and that everything can be put back."""

import torch
from torch import nn

from tests.support.kinds import KINDS
from trainables.pruning.analysis import analyse
from trainables.pruning.trials import remove

X = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_rows_and_columns_of_the_removed_units_go_and_come_back() -> None:
    torch.manual_seed(0)
    model = KINDS["unused layer"][0]()
    first, second = model.get_parameter("first.weight"), model.get_parameter("second.weight")
    removal = analyse(model, X).remove(model, {"first": torch.tensor([0, 3, 4])})
    stay = [1, 2, *range(5, 16)]
    assert torch.equal(model.get_parameter("first.weight"), first[stay])
    assert torch.equal(model.get_parameter("second.weight"), second[:, stay])
    convolution = model.get_submodule("first")
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.out_channels == 13
    removal.undo()
    assert model.get_parameter("first.weight") is first
    assert model.get_parameter("second.weight") is second
    assert convolution.out_channels == 16


def test_tensors_that_nobody_reads_get_their_sizes_alone_and_come_back_with_their_values() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1, groups=2), nn.Flatten())
    model.append(nn.Linear(256, 10))
    prunable, before = analyse(model, X), {name: value.clone() for name, value in model.state_dict().items()}
    unread = prunable.seen.unread()
    assert id(model.get_parameter("0.weight")) in unread
    assert id(model.get_parameter("1.weight")) not in unread
    removal = remove(model, prunable.seen.ports, [(prunable.groups["0"], torch.tensor([1, 5]))], unread)
    assert model.get_parameter("0.weight").shape == (6, 1, 1, 1)
    assert model.get_parameter("2.weight").shape == (4, 3, 1, 1)
    assert torch.equal(model.get_parameter("1.weight"), before["1.weight"][[0, 2, 3, 4, 6, 7]])
    removal.undo()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_each_group_of_a_convolution_loses_its_own_columns() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 1), nn.Conv2d(8, 4, 1, groups=2), nn.Flatten(), nn.Linear(256, 10))
    weight = model.get_parameter("1.weight")
    analyse(model, X).remove(model, {"0": torch.tensor([1, 5])})  # the second channel of each group
    assert torch.equal(model.get_parameter("1.weight"), weight[:, [0, 2, 3]])


def test_a_flattened_channel_takes_all_its_positions_along() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(256, 10))
    weight = model.get_parameter("2.weight")
    analyse(model, X).remove(model, {"0": torch.tensor([2])})
    assert torch.equal(model.get_parameter("2.weight"), torch.cat([weight[:, :128], weight[:, 192:]], 1))


def test_a_changed_number_is_put_back_with_its_buffer() -> None:
    model = KINDS["own attention"][0]()
    before = set(model.state_dict())
    removal = analyse(model, X).remove(model, {"qkv": torch.tensor([1])})
    assert model.heads == 3
    assert set(model.state_dict()) - before == {"pruned_heads"}
    removal.undo()
    assert model.heads == 4
    assert set(model.state_dict()) == before
