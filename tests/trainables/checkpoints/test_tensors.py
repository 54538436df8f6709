"""Random numbers go on from a checkpoint where they were, those of layers such as dropout as well."""

import torch
from torch import Generator, nn
from torch.optim import SGD

from trainables.checkpoints.tensors import pack_progress, unpack_progress


def test_random_numbers_go_on_where_they_were() -> None:
    model = nn.Linear(3, 2)
    optimizer, generator = SGD(model.parameters(), lr=0.1, momentum=0.9), Generator().manual_seed(1)
    optimizer.zero_grad()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    packed = pack_progress(model, optimizer, generator)
    expected = [torch.rand(3, generator=generator), nn.functional.dropout(torch.ones(50)), torch.rand(2)]
    again, other = SGD(model.parameters(), lr=0.1, momentum=0.9), Generator().manual_seed(2)
    unpack_progress(packed, model, again, other)
    found = [torch.rand(3, generator=other), nn.functional.dropout(torch.ones(50)), torch.rand(2)]
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))
    buffers = [optimizer.state[parameter]["momentum_buffer"] for parameter in model.parameters()]
    restored = [again.state[parameter]["momentum_buffer"] for parameter in model.parameters()]
    assert all(torch.equal(one, two) for one, two in zip(restored, buffers, strict=True))
