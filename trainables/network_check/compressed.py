"""Checks that a compressed network can be used, trained, counted, saved, loaded, deployed and serve as a base."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.checkpoints.tensors import pack_model
from trainables.compression.compressor import FLOAT, Compressors, layers_of
from trainables.compression.config import ChannelPruning, Compression, Quantization, UserCompression
from trainables.compute.flops import forward_flops
from trainables.errors import InvalidInput
from trainables.models.build import frozen
from trainables.models.module_sizes import drawn_tensors
from trainables.models.weights import load_compressed
from trainables.network_check.error_words import in_words
from trainables.network_check.findings import Finding, note, warning
from trainables.network_check.scores import same_scores

NEAR = 0.01  # share by which the MACs that are left may be above what was asked for
LISTED = 4  # names that are shown of all that have one reason
RELOADED = 1e-5  # how far scores may be apart after saving and loading, as a share of the largest score


def check_compressed(
    methods: Sequence[Compression | Quantization],
    build: Callable[[int], nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    seed: int,
    where: str,
    advice: str = "",
) -> tuple[nn.Module, Compressors]:
    """Compresses a network by a recipe's methods, without training, and does all that a trial does with it once.

    Args:
        methods: the methods of a recipe in order; none: the network is checked as it is.
        build: builds the network, newly initialised with the weights that a seed draws.
        x: some training images (n, channels, height, width), on the CPU.
        y: their labels (n,).
        seed: seed of the recipe.
        where: the study's key that asks for the methods, for messages.
        advice: what the user can do instead, for messages.

    Returns:
        The compressed network and the compressors that made it.

    Raises:
        InvalidInput: the network cannot be compressed, used, trained, copied, saved, rebuilt, deployed or serve as a
            base; or a method of the user's gives another network when it compresses once more.
    """
    name = ": ".join([where, *([" and ".join(method.words() for method in methods)] if methods else [])])
    last = 1 + sum(method.steps - 1 for method in methods)
    model, compressors = build(seed).train(), Compressors(methods, seed=seed)
    state: dict[str, Tensor] = {}
    for epoch in range(1, last + 1):
        stage = f" after step {epoch}" if methods else ""
        with in_words(f"{name}: step {epoch} fails", advice):
            compressors.step(epoch, model, x, y)
        with in_words(f"{name}: the network cannot be used{stage}", advice):
            scores = _scores(model, x)
            torch.autograd.backward(cross_entropy(copy.deepcopy(model)(x.clone().requires_grad_()), y))
        _expect(scores.shape[:1] == x.shape[:1] and bool(scores.isfinite().all()), name, "scores are not finite")
        with in_words(f"{name}: the network cannot be saved{stage}", advice):
            state = load_tensors(pack_model(model))
        with in_words(f"{name}: the network cannot be rebuilt from its weights{stage} (attach)", advice):
            rebuilt = Compressors(methods, seed=seed).load(build(seed + 1), state, epochs=epoch)
            again = _scores(rebuilt, x)
        _expect(same_scores(again, scores, RELOADED), name, _unlike(epoch, model, rebuilt, compressed=bool(methods)))
        with in_words(f"{name}: bits fails", advice):
            told = [bits for layer in layers_of(model).values() for bits in compressors.bits(layer)]
        _expect(all(1 <= bits <= FLOAT for bits in told), name, f"bits gave {sorted(set(told))}, expected 1 to {FLOAT}")
    if not methods:  # what follows is about the methods alone
        return model, compressors
    with in_words(f"{name}: its weights cannot be loaded into the network as it is built (plain)", advice):
        _scores(load_compressed(build(seed + 1), compressors.plain(state)), x[:1])
    with in_words(f"{name}: deploy fails", advice):
        deployed = copy.deepcopy(model).eval().requires_grad_(False)
        compressors.deploy(deployed)
        _scores(deployed, x[:1])
    with in_words(f"{name}: deploy breaks the network that it is given a copy of", advice):
        _scores(model, x[:1])
    if any(isinstance(method, UserCompression) for method in methods):
        _expect(
            _same(state, _compressed_again(methods, build, x, y, seed, last)),
            name,
            f"two networks of one seed differ, expected draws by the seed {seed} alone",
        )
    return model, compressors


def check_reached(
    methods: Sequence[Compression | Quantization],
    build: Callable[[int], nn.Module],
    compressed: nn.Module,
    example: Tensor,
    seed: int,
    where: str,
) -> list[Finding]:
    """Returns a warning where pruning removes nothing, or cannot leave so small a share of the MACs as it is asked to.

    Args:
        methods: the methods that compressed the network.
        build: builds the network as it was before.
        compressed: the network as they left it.
        example: one image (1, channels, height, width).
        seed: seed of the network's weights.
        where: the study's key that asks for the methods.
    """
    pruning = methods[0] if len(methods) == 1 else None
    if not isinstance(pruning, ChannelPruning):
        return []
    dense = build(seed)
    if pruning.mac_ratio is None:
        ratio = f"{where}: pruning_ratio {pruning.pruning_ratio:g}, scope {pruning.scope}"
        nothing = "removes no channel of this network, which stays dense: search over bits, or over larger ratios"
        same = _parameters(compressed) == _parameters(dense)  # FLOPs of a large network take seconds to count
        return [warning(f"{ratio}, {nothing}")] if same else []
    left = forward_flops(compressed, example) / forward_flops(dense, example)
    if left <= pruning.mac_ratio * (1 + NEAR):
        return []
    return [
        warning(
            f"{where}: mac_ratio {pruning.mac_ratio:g}, scope {pruning.scope}, leaves {left:.0%} of the MACs, as no "
            "more can be removed; all below that gives the same network, so let the range begin there"
        )
    ]


def left_as_is(compressors: Compressors) -> list[Finding]:
    """Returns a note on the layers that compression leaves as they are, by the reason why; none if there are none."""
    layers: dict[str, list[str]] = {}
    for layer, reason in compressors.left_as_is().items():
        layers.setdefault(reason, []).append(layer)
    told = [f"{_listed(names)} ({reason})" for reason, names in layers.items()]
    return [note(f"left as they are: {'; '.join(told)}")] if told else []


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _listed(names: Sequence[str]) -> str:
    """Lists the first names, and how many there are."""
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _unlike(epoch: int, model: nn.Module, rebuilt: nn.Module, *, compressed: bool) -> str:
    if compressed:
        return f"the network rebuilt after step {epoch} gives other scores (attach)"
    drawn = drawn_tensors(model, rebuilt)
    named = f", such as {', '.join(drawn[:LISTED])}" if drawn else ""
    return (
        "gives other scores after it was saved and loaded into a network that was built anew, expected the same: "
        f"something that matters to them is neither a parameter nor a buffer{named}; use `register_buffer`"
    )


def _compressed_again(
    methods: Sequence[Compression | Quantization],
    build: Callable[[int], nn.Module],
    x: Tensor,
    y: Tensor,
    seed: int,
    last: int,
) -> dict[str, Tensor]:
    """Compresses a network once more with another state of PyTorch's global generator, and returns its state_dict."""
    model, compressors = build(seed).train(), Compressors(methods, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        for epoch in range(1, last + 1):
            compressors.step(epoch, model, x, y)
    return model.state_dict()


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def _scores(model: nn.Module, x: Tensor) -> Tensor:
    with frozen(model), torch.no_grad():
        scores: Tensor = model(x)
    return scores


def _expect(condition: bool, name: str, problem: str) -> None:
    if not condition:
        raise InvalidInput(f"{name}: {problem}")
