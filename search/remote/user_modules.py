"""The user's own code that a study names, so that other machines can be given it."""

from importlib.util import find_spec
from pathlib import Path

from search.study.study import Study
from trainables.user_code import is_reference, own_function


def own_modules(study: Study) -> dict[str, Path | bytes]:
    """The user's modules that a study names and that lie in the working directory, by name: files or packages."""
    found: dict[str, Path | bytes] = {}
    for key, reference in (("data.name", study.data.name), ("model.name", study.model.name)):
        if not is_reference(reference) or reference.startswith("torchvision:"):
            continue
        own_function(reference, key)
        spec = find_spec(reference.partition(":")[0].partition(".")[0])
        origin = Path(spec.origin) if spec is not None and spec.origin is not None else None
        if origin is not None and Path.cwd() in origin.parents:
            what = origin.parent if origin.name == "__init__.py" else origin
            found[what.name] = what
    return found
