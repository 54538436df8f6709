"""Loads weights: a user's file, its names fitted to the network's, or those of a compressed network."""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from trainables.errors import InvalidInput
from trainables.models.build import to_channels_last
from trainables.models.config import Weights
from trainables.models.module_sizes import adopt_changed_number, drawn_buffers, fit_sizes, save_buffer
from trainables.models.weight_files import State, states_of
from trainables.user_path import user_path
from trainables.value_forms import counted

COUNTER = "num_batches_tracked"  # BatchNorm counts its batches since PyTorch 0.4.1; files from before have no such
VARIANCE = "running_var"
# Parts of names that PyTorch's wrappers put into them: compiling, sharding and checkpointing of activations.
WRAPPER_PARTS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
# Parts of the names of tensors that a network does without: thop's counts, the count of averaged weights, weights of
# a loss, and auxiliary heads of a torchvision network that is built without them.
HARMLESS_PARTS = frozenset({"total_ops", "total_params", "n_averaged", "criterion", "aux1", "aux2", "AuxLogits"})


def sealed(weights: Weights) -> Weights:
    """Returns the same weights with the hash of their file, so that a change of the file is noticed later.

    Raises:
        InvalidInput: the file cannot be read, or it has another hash than the given one.
    """
    found = hashlib.sha256(_read(weights)).hexdigest()
    return weights.model_copy(update={"sha256": found})


def load_weights(model: nn.Module, weights: Weights) -> None:
    """Loads a file of weights into a network.

    The forms that people have are taken: safetensors and `torch.save`; a state_dict by itself or under one of the keys
    of `trainables.models.weight_files.WRAPPERS`, averaged weights before plain ones, as timm does, or under any other
    key if it is the only one; names with the
    prefixes of DataParallel, DistributedDataParallel, `torch.compile` and Lightning, or with any other that all of them
    share, on either side; numbers of 16 or 64 bits; no `num_batches_tracked`; shared tensors that are stored once; and
    extra tensors that are known to do no harm.

    Raises:
        InvalidInput: the file cannot be read, has changed since it was hashed, holds other tensors than the network, or
            tensors that are not finite.
    """
    states = states_of(_read(weights), weights.path)
    wanted = model.state_dict(keep_vars=True)
    for state in states:
        for renamed in _renamings(state, wanted):
            fitted = _completed(renamed, wanted)
            if fitted.keys() == wanted.keys():
                _check_shapes(fitted, wanted, weights.path)
                ready = model.state_dict()  # with the versions of the network's layers, which mnasnet asks for
                for name in wanted:
                    ready[name] = _checked(name, fitted[name], wanted[name], weights.path)
                model.load_state_dict(ready)
                return
    raise InvalidInput(f"pretrained.path: {weights.path} {_other_tensors(states[0], wanted)}{_drawn(model, states[0])}")


def _read(weights: Weights) -> bytes:
    path = user_path(weights.path, "pretrained.path")
    if path.is_dir():
        raise InvalidInput(
            f"pretrained.path: {weights.path}: is a folder, expected a file; a trial of a run keeps its weights in "
            "checkpoint/<epoch>/weights.safetensors"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"pretrained.path: {weights.path}: {error.strerror}") from None
    if weights.sha256 is not None and hashlib.sha256(content).hexdigest() != weights.sha256:
        raise InvalidInput(f"pretrained.path: {weights.path}: is another file than the one of sha256 {weights.sha256}")
    return content


def _renamings(state: State, wanted: Mapping[str, Tensor]) -> Iterator[State]:
    """Yields a state under the names that it may have in the network; those with the least changes come first."""
    parts = {part for name in wanted for part in name.split(".")}
    wrappers, harmless = WRAPPER_PARTS - parts, HARMLESS_PARTS - parts
    kept = {name: value for name, value in state.items() if harmless.isdisjoint(name.split("."))}
    plain = {_without(name, wrappers): value for name, value in kept.items()}
    inside = {_without(name, wrappers | {"module"}): value for name, value in kept.items()}  # parts in DataParallel
    for candidate in (plain, inside) if "module" not in parts else (plain,):
        for shared in _shared_prefixes(tuple(candidate)):
            for prefix in _shared_prefixes(tuple(wanted)):
                yield {prefix + name[len(shared) :]: value for name, value in candidate.items()}


def _without(name: str, parts: Collection[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in parts)


def _shared_prefixes(names: Sequence[str]) -> list[str]:
    """Returns the beginnings that all names share, up to a dot; "" is the first of them."""
    prefixes = [""]
    while names:
        first, dot, _ = names[0][len(prefixes[-1]) :].partition(".")
        longer = prefixes[-1] + first + dot
        if not dot or not all(name.startswith(longer) for name in names):
            break
        prefixes.append(longer)
    return prefixes


def _completed(state: State, wanted: Mapping[str, Tensor]) -> State:
    """Adds what a file may lack: BatchNorm's counters, and names of a shared tensor, which is stored under one."""
    complete, names = dict(state), {id(wanted[name]): name for name in state if name in wanted}
    for name in wanted.keys() - state.keys():
        if name.rpartition(".")[2] == COUNTER:
            complete[name] = torch.zeros((), dtype=torch.long)
        elif id(wanted[name]) in names:
            complete[name] = state[names[id(wanted[name])]]
    return complete


def _check_shapes(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str) -> None:
    wrong = [name for name in wanted if state[name].shape != wanted[name].shape]
    if not wrong:
        return
    shapes = ", ".join(f"{n} {tuple(state[n].shape)} for {tuple(wanted[n].shape)}" for n in wrong[:3])
    lengths = {(state[name].shape[:1], wanted[name].shape[:1]) for name in wrong}
    in_length_alone = all(state[name].shape[1:] == wanted[name].shape[1:] for name in wrong)
    hint = ""
    if len(wrong) <= 2 and len(lengths) == 1 and in_length_alone:  # weight and bias of the last layer
        (theirs,), (ours,) = lengths.pop()
        hint = f"; it seems to be of a network of {counted(theirs, 'class', plural='classes')}, expected {ours}"
    raise InvalidInput(f"pretrained.path: {path}: tensors of another shape: {shapes}{hint}")


def _checked(name: str, value: Tensor, wanted: Tensor, path: str) -> Tensor:
    """Returns a tensor in the network's data type. Raises InvalidInput if it cannot be one of the network's."""
    if wanted.is_floating_point() and not value.is_floating_point():
        raise InvalidInput(f"pretrained.path: {path}: {name} is of {value.dtype}, expected floating-point numbers")
    plain = value.detach() if value.layout == torch.strided else value.detach().to_dense()
    cast = plain.to(wanted.dtype)
    if not bool(torch.isfinite(cast).all()):
        bad = int((~torch.isfinite(cast)).sum())
        raise InvalidInput(f"pretrained.path: {path}: {name} has {bad} of {cast.numel()} numbers that are not finite")
    if name.rpartition(".")[2] == VARIANCE and bool((cast < 0).any()):
        raise InvalidInput(f"pretrained.path: {path}: {name} has negative numbers, expected variances")
    return cast


def _other_tensors(state: State, wanted: Mapping[str, Tensor]) -> str:
    """Says which tensors are missing and which are unknown, under the names by which the fewest are.

    Where a file holds all of the network's tensors under one beginning, only what it holds beside them is unknown.
    """
    beside = _beside(state, wanted)
    if beside is not None:
        prefix, rest = beside
        return (
            f"holds the network's tensors under {prefix}, and others beside them: {', '.join(rest[:3])}"
            f"{f' and {len(rest) - 3} more' if len(rest) > 3 else ''}; save those of the network alone"
        )
    closest = min(_renamings(state, wanted), key=lambda one: len(one.keys() ^ wanted.keys()))
    if not closest.keys() & wanted.keys():
        closest = state
    complete = _completed(closest, wanted)
    missing, extra = sorted(wanted.keys() - complete.keys()), sorted(complete.keys() - wanted.keys())
    return (
        "holds other tensors than the network: "
        f"missing {', '.join(missing[:3]) or 'none'}, unknown {', '.join(extra[:3]) or 'none'}"
    )


def _drawn(model: nn.Module, state: State) -> str:
    """Says which missing tensors are drawn anew in each build, so that the weights do not fit; empty if none is."""
    parts = {name.rpartition(".")[2] for name in state}
    drawn = sorted(name for name in drawn_buffers(model) if name.rpartition(".")[2] not in parts)
    if not drawn:
        return ""
    return (
        f"; the network's code draws {', '.join(drawn[:3])} anew each time it is built, with persistent=False, so that "
        "weights without it fit nothing: save it with them, or draw it from a generator with a seed"
    )


def _beside(state: State, wanted: Mapping[str, Tensor]) -> tuple[str, list[str]] | None:
    """Returns the beginning under which a state has all of a network's tensors, and the names of its other tensors."""
    first = next(iter(wanted), None)
    for prefix in [name.removesuffix(first) for name in state if first and name.endswith("." + first)]:
        inside = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if _completed(inside, wanted).keys() == wanted.keys():
            return prefix, sorted(name for name in state if not name.startswith(prefix))
    return None


def load_compressed(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Loads a state_dict whose layers may be narrower than the model's, and shrinks the model to fit.

    In this way a pruned network is rebuilt without unpickling it: its shapes come from the tensors. Shared tensors stay
    shared.

    Args:
        model: the uncompressed network; it is changed and returned.
        state: the weights of a compressed network, with the same names.
    """
    fitting: dict[int, Tensor] = {}  # the tensors of another shape, by the ids of those that they replace
    changed, replaced = False, []
    for name, value in state.items():
        owner, _, key = name.rpartition(".")
        module = model.get_submodule(owner)
        if key not in module._parameters and key not in module._buffers and adopt_changed_number(module, key, value):
            changed = True
            continue
        present = getattr(module, key)
        if present.shape != value.shape:
            save_buffer(module, key)  # the code makes it whole, so that it is among the weights once it is narrower
            if id(present) not in fitting:
                fresh = torch.empty_like(value, device=present.device)
                is_parameter = isinstance(present, nn.Parameter)
                fitting[id(present)] = nn.Parameter(fresh, present.requires_grad) if is_parameter else fresh
            replaced.append(present)  # kept, so that no other tensor gets its id
            setattr(module, key, fitting[id(present)])
    whole = OrderedDict({**drawn_buffers(model), **state})  # weights of earlier versions are without these
    whole._metadata = model.state_dict()._metadata  # type: ignore[attr-defined]
    model.load_state_dict(whole)
    if fitting or changed:
        fit_sizes(model)
    return to_channels_last(model)
