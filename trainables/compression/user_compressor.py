"""Makes the user's own compression method, and tries it on the study's network before anything runs.

The study says `compression: {method: "module:function", steps: 2, settings: {share: 0.5}}`. The function is called as
`function(steps=2, seed=0, share=0.5)` and returns a `trainables.compression.compressor.Compressor` for one network.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.compression.compressor import FLOAT, Compressor, Compressors, layers_of
from trainables.compression.config import Compression, Quantization, UserCompression
from trainables.errors import InvalidInput
from trainables.models.build import frozen, load_compressed
from trainables.user_code import user_function

MEMBERS = ("step", "attach", "plain", "bits", "deploy")


def user_compressor(config: UserCompression, *, seed: int, where: str = "compression") -> Compressor:
    """Calls the user's function and returns the compressor that it makes.

    Args:
        config: names the function and its settings.
        seed: seed of the recipe.
        where: the study's key that holds the configuration, for messages.

    Raises:
        InvalidInput: there is no such function, it is not trusted, it does not take these arguments or fails, or it
            returns no compressor.
    """
    function = user_function(config.method, f"{where}.method")
    with _in_words(f"{where}: {config.method}", "fails when it is called"):
        made = function(steps=config.steps, seed=seed, **config.settings.values())
    missing = [name for name in MEMBERS if not callable(getattr(made, name, None))]
    if missing or not isinstance(made, Compressor):
        raise InvalidInput(
            f"{where}.method: {config.method} gave a {type(made).__name__} without {', '.join(missing)}; expected "
            "an object of a class that subclasses trainables.compression.compressor.Compressor"
        )
    return made


def try_out(
    methods: Sequence[Compression | Quantization],
    build: Callable[[], nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    seed: int,
    where: str,
) -> None:
    """Tries the methods of a recipe on its network, without training, so that errors show before a search begins.

    Everything that a trial does with a compressed network is done once.

    Args:
        methods: the methods of a recipe, the user's own among them.
        build: builds the network, newly initialised and always with the same weights.
        x: some training images (n, channels, height, width), on the CPU.
        y: their labels (n,).
        seed: seed of the recipe.
        where: the study's key that holds the user's method, for messages.

    Raises:
        InvalidInput: the network cannot be compressed, used, copied, saved, rebuilt or serve as a base; or compressing
            it twice gives different networks.
    """
    name = f"{where}: {' and '.join(method.words() for method in methods)}"
    last = 1 + sum(method.steps - 1 for method in methods)
    model, compressors = build().train(), Compressors(methods, seed=seed)
    for epoch in range(1, last + 1):
        with _in_words(name, f"step {epoch} fails"):
            compressors.step(epoch, model, x, y)
        with _in_words(name, f"the network cannot be used after step {epoch}"):
            scores = _scores(model, x)
            torch.autograd.backward(cross_entropy(copy.deepcopy(model)(x.clone().requires_grad_()), y))
        _expect(scores.shape[:1] == x.shape[:1] and bool(scores.isfinite().all()), name, "scores are not finite")
        with _in_words(name, "the network cannot be saved"):
            state = {key: value.detach().clone().contiguous() for key, value in model.state_dict().items()}
            save({key: value.detach().contiguous() for key, value in model.state_dict().items()})
        with _in_words(name, f"the network cannot be rebuilt from its weights after step {epoch} (attach)"):
            rebuilt = Compressors(methods, seed=seed).load(build(), state, epochs=epoch)
            again = _scores(rebuilt, x)
        _expect(torch.equal(again, scores), name, f"the network rebuilt after step {epoch} gives other scores (attach)")
        with _in_words(name, "bits fails"):
            told = [bits for layer in layers_of(model).values() for bits in compressors.bits(layer)]
        _expect(all(1 <= bits <= FLOAT for bits in told), name, f"bits gave {sorted(set(told))}, expected 1 to {FLOAT}")
    with _in_words(name, "its weights cannot be loaded into the network as it is built (plain)"):
        _scores(load_compressed(build(), compressors.plain(state)), x)
    with _in_words(name, "deploy fails"):
        deployed = copy.deepcopy(model).eval().requires_grad_(False)
        compressors.deploy(deployed)
        _scores(deployed, x)
    with _in_words(name, "deploy breaks the network that it is given a copy of"):
        _scores(model, x)
    _expect(
        _same(state, _compressed(methods, build, x, y, seed, last)),
        name,
        f"two networks of one seed differ, expected draws by the seed {seed} alone",
    )


def _compressed(
    methods: Sequence[Compression | Quantization],
    build: Callable[[], nn.Module],
    x: Tensor,
    y: Tensor,
    seed: int,
    last: int,
) -> dict[str, Tensor]:
    """Compresses a network once more with another state of PyTorch's global generator, and returns its state_dict."""
    model, compressors = build().train(), Compressors(methods, seed=seed)
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


@contextmanager
def _in_words(name: str, problem: str) -> Iterator[None]:
    """Turns whatever the user's code raises in the context into InvalidInput, whose message names the method."""
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(f"{name}: {problem} ({type(error).__name__}: {error})") from error
