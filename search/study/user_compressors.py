"""Finds the user's compression methods that a study names, and checks that each can be made."""

from search.study.study import Study
from trainables.compression.config import Compression, Quantization, UserCompression
from trainables.errors import InvalidInput


def user_compressors(study: Study) -> dict[str, tuple[UserCompression, Quantization | None]]:
    """Return the user's compression methods that a study names, by their key in the study.

    Each comes with the quantization that follows it, or None.
    """
    named: dict[str, tuple[Compression, Quantization | None]] = {
        f"baselines.{number}.compression": (one.compression, one.quantization)
        for number, one in enumerate(study.baselines)
    }
    for number, one in enumerate(study.space.compression.alternatives if study.space else ()):
        named[f"space.compression.alternatives.{number}"] = one, None
    return {key: (one, after) for key, (one, after) in named.items() if isinstance(one, UserCompression)}


def check_user_compressors(study: Study) -> None:
    """Check that every compression method of the user's that a study names can be made.

    Raises:
        InvalidInput: some cannot; it lists every problem by its key in the study.
    """
    methods = user_compressors(study)
    if not methods:
        return
    from trainables.compression.user_compressor import user_compressor  # late: it imports PyTorch

    problems: list[str] = []
    for key, (method, _) in methods.items():
        try:
            user_compressor(method, seed=study.seed, where=key)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(*problems)
