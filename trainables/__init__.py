"""Trainables: the code that one trial runs, in plain PyTorch; it takes a recipe and returns its numbers.

Each room has a `config.py` without torch, which holds what a study may say, beside the code that carries it out. Each
line below may import only from the lines above it:

- `errors`, `config`, `value_forms`: exceptions, validation, how values are written
- `user_path`, `local_files`, `storage`: paths that a user wrote, local files, folders on any storage
- `memory_limit`, `cpu_limit`, `collector`: memory and CPUs that may be used, and a pause of the search for garbage
- `random_states`: keeps the random states from which code of the user's may draw
- `broken_kernels`: goes around a kernel of PyTorch's that ends the process on some processors
- `user_errors`, `user_source`, `user_modules`, `user_code`: the user's functions, and what goes wrong in them
- `models`, `data`: networks and images
- `attacks`, `losses`: how training perturbs images, and what it minimises
- `channels`, `pruning`, `compression`: which channels depend on each other, removing them, smaller networks
- `compute`, `evaluation`: FLOPs, accuracy under the attack that a search scores by
- `ensemble`, `assessment`: several attacks as hard as can be, and whether their result can be trusted
- `conditions`: how a network does outside of the threat model that it was trained against
- `deployment`: ONNX files
- `recipe`: everything that determines one trained network
- `checkpoints`, `training`, `execution`: training and scoring one recipe from its start to its end
- `estimation`: what a recipe will cost in FLOPs, memory and seconds
- `network_check`: does once, on a few images, all that a study will do with its network
- `trainable`: the interface to Ray Tune; the only module here that knows Ray
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.assessment.evaluate_model import Evaluation, evaluate_model
    from trainables.evaluation.config import ThreatModel

__all__ = ["Evaluation", "ThreatModel", "evaluate_model"]
_PLACES = {
    "Evaluation": "trainables.assessment.evaluate_model",
    "ThreatModel": "trainables.evaluation.config",
    "evaluate_model": "trainables.assessment.evaluate_model",
}


def __getattr__(name: str) -> Any:
    """Imports what people call from Python once it is asked for, since it needs PyTorch."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
