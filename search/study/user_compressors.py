"""The compression methods of the user's own that a study names: where it names them, and whether they can be had."""

from search.study.study import Study
from trainables.compression.config import Compression, Quantization, UserCompression
from trainables.errors import InvalidInput


def user_compressors(study: Study) -> dict[str, tuple[UserCompression, Quantization | None]]:
    """Key of the study to the method that stands there, and to the quantization that follows it."""
    named: dict[str, tuple[Compression, Quantization | None]] = {
        f"baselines.{number}.compression": (one.compression, one.quantization)
        for number, one in enumerate(study.baselines)
    }
    for number, one in enumerate(study.space.compression.alternatives if study.space else ()):
        named[f"space.compression.alternatives.{number}"] = one, None
    return {key: (one, after) for key, (one, after) in named.items() if isinstance(one, UserCompression)}


def check_user_compressors(study: Study) -> None:
    """Raise InvalidInput, with every problem, if a compression method of the user's own cannot be made."""
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
