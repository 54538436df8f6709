"""Finds and imports the user's modules: in the study's folder first, then in the working directory.

A module of theirs may be a file, a package or a folder without `__init__.py`. It may have the name of a standard module
or of an installed one; it is then imported under a name of its own, so that whoever needs the other one still gets it.
A name of one of Temper's packages is never looked for among the user's modules.
"""

import ast
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

STUDY_FOLDER = "TEMPER_STUDY_FOLDER"  # the folder of the study's file; processes that this one starts inherit it
WORKING_FOLDER = "TEMPER_WORKING_FOLDER"  # where a process works that was started elsewhere: see `go_to_work`
SHIPPED = "user_code"  # the folder that holds what is the user's, in the working directory of other machines
OURS = frozenset({"analysis", "cluster", "search", "trainables"})
INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD = Path(os.__file__).parent
_ALIAS = "temper_user_"  # begins the names of modules whose own name is another module's


def user_folders() -> list[Path]:
    """Returns the folders that a user's modules are looked for in: the study's own, then the working directory."""
    told, work = os.environ.get(STUDY_FOLDER), _working_folder()
    return list(dict.fromkeys([*([Path(told)] if told else []), *([work] if work else []), Path.cwd()]))


def look_beside(study: Path | None) -> None:
    """Lets a study's modules be found beside its file, in this process and in all that it starts; None: no longer."""
    look_in(None if study is None else study.absolute().parent)


def look_in(folder: Path | None) -> None:
    """Lets modules be found in a folder first, in this process and in all that it starts; None: no longer."""
    os.environ.pop(STUDY_FOLDER, None)
    if folder is not None:
        os.environ[STUDY_FOLDER] = str(folder)


def go_to_work() -> None:
    """Goes to the folder of the user's code, in a process that was started in another folder to be shielded.

    That is the working directory of the search, by its path, or what was shipped of it, by its name beside Temper's
    packages, which have another path on each machine.
    """
    if (folder := _working_folder()) is not None:
        os.chdir(folder)


def _working_folder() -> Path | None:
    told = os.environ.get(WORKING_FOLDER)
    return Path(__file__).parent.parent / told if told else None


def hides_others(folder: Path) -> bool:
    """Returns whether a folder that comes first on Python's path would hide a module of Temper's or of others."""
    installed = [path for path in sys.path if INSTALLED & set(Path(path).parts)]
    for one in folder.iterdir():
        if one.suffix == ".py" or os.path.exists(one / "__init__.py"):  # False also where it may not be looked into
            name = one.stem if one.suffix == ".py" else one.name
            if name in OURS or name in sys.stdlib_module_names or PathFinder.find_spec(name, installed) is not None:
                return True
    return False


def spec_of(module: str) -> ModuleSpec | None:
    """Finds the top-level module of `package.module`: the user's own first, then what is installed.

    Raises:
        ImportError, ValueError: an installed module of that name is broken.
    """
    importlib.invalidate_caches()
    for folder in user_folders():
        if (spec := _spec_in(folder, module)) is not None:
            return spec
    top = module.partition(".")[0]
    # Not `importlib.util.find_spec`, which takes a module that is loaded already, though it may be an earlier study's.
    return next((spec for finder in sys.meta_path if (spec := finder.find_spec(top, None)) is not None), None)


def place_of(spec: ModuleSpec) -> Path | None:
    """Returns the file of a module, or the folder if it is a package; None if it lies in no file."""
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin is not None else None


def _spec_in(folder: Path, module: str) -> ModuleSpec | None:
    """Finds a top-level module in one folder; a folder without `__init__.py` only if it holds what is asked for."""
    top, *inner = module.split(".")
    spec = None if top in OURS else PathFinder.find_spec(top, [str(folder)])
    if spec is None or spec.origin is not None:
        return spec
    wanted = folder.joinpath(top, *inner)
    return spec if inner and (wanted.is_dir() or wanted.with_suffix(".py").exists()) else None


def imported(module: str) -> ModuleType:
    """Imports a module. While it runs, its folder comes before installed packages, and `sys.argv` is its own.

    Raises:
        ImportError: there is no such module; and whatever its code raises.
    """
    spec, (top, *inner) = spec_of(module), module.split(".")
    place = None if spec is None else place_of(spec)
    if spec is None or place is None or not any(place.parent == folder for folder in user_folders()):
        return importlib.import_module(module)
    name = top
    if _is_taken(top, place):
        name = _ALIAS + top
    known = sys.modules.get(name)
    if known is not None and not _is_from(known, place):  # an earlier study's, from another folder
        for one in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
            del sys.modules[one]
    with _folder_first(place):
        if name not in sys.modules:
            _load(name, spec, place)
        return importlib.import_module(".".join([name, *inner]))


def _is_taken(top: str, place: Path) -> bool:
    """Returns whether a name belongs to the standard library, or to an installed module that is in use."""
    known = sys.modules.get(top)
    if top in sys.stdlib_module_names or known is None or _is_from(known, place):
        return top in sys.stdlib_module_names
    origin = getattr(known.__spec__, "origin", None) if known.__spec__ is not None else None
    return origin is not None and bool(INSTALLED & set(Path(origin).parts))


def _is_from(module: ModuleType, place: Path) -> bool:
    spec = module.__spec__
    return spec is not None and place_of(spec) == place


def _load(name: str, spec: ModuleSpec, place: Path) -> None:
    """Runs a top-level module's code under a name, and keeps it in `sys.modules` unless that fails."""
    inside = [str(place)] if spec.submodule_search_locations else None
    own: ModuleSpec | None = ModuleSpec(name, None, is_package=True)
    if spec.origin is not None:
        own = spec_from_file_location(name, spec.origin, submodule_search_locations=inside)
    elif own is not None:
        own.submodule_search_locations = inside
    assert own is not None
    module = module_from_spec(own)
    sys.modules[name] = module
    try:
        if own.loader is not None and spec.origin is not None:
            own.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, SyntaxError) and error.filename is None:  # a file that is no text, such as UTF-16
            error.filename, error.lineno = spec.origin, 1
        raise


@contextmanager
def _folder_first(place: Path) -> Iterator[None]:
    """Lets modules beside `place` be found before installed ones, as where a file is run; later they come last.

    The standard library stays first. Arguments of the command are hidden from a module that would parse them.
    """
    folder, arguments = str(place.parent), sys.argv
    installed = [number for number, path in enumerate(sys.path) if INSTALLED & set(Path(path).parts)]
    sys.path.insert(installed[0] if installed else len(sys.path), folder)
    sys.argv = [str(place)]
    try:
        yield
    finally:
        sys.argv = arguments
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for imports inside of functions; last, so that nothing installed is replaced


def is_installed(place: Path) -> bool:
    """Returns whether a file or folder is an installed package's or the standard library's."""
    return bool(INSTALLED & set(place.parts)) or _STANDARD in place.parents


def modules_beside(place: Path) -> list[Path]:
    """Returns the modules beside a module that it imports, directly or through each other, itself first.

    Of an installed module it is that module alone: what lies beside it is not the user's, and is very much.

    Args:
        place: a file, or the folder of a package.

    Returns:
        Files, and folders of packages. They are found in the source, and nothing is imported.
    """
    found = [place]
    for one in [] if is_installed(place) else found:
        for name in sorted(imported_names(one) - {one.stem}):
            spec = PathFinder.find_spec(name, [str(place.parent)])
            beside = None if spec is None or name in OURS or _gives_way(spec) else place_of(spec)
            if beside is not None and beside.parent == place.parent and beside not in found:
                found.append(beside)
    return found


def _gives_way(spec: ModuleSpec) -> bool:
    """Returns whether it is a folder without `__init__.py`, and an installed module has its name: Python takes that.

    Such a folder holds logs or images, as of TensorBoard or of Hugging Face's `datasets`.
    """
    if spec.origin is not None:
        return False
    installed = [path for path in sys.path if INSTALLED & set(Path(path).parts)]
    other = PathFinder.find_spec(spec.name, installed)
    return spec.name in sys.stdlib_module_names or (other is not None and other.origin is not None)


def imported_names(place: Path) -> set[str]:
    """Returns the top-level names that a file, or any file of a package, imports; a file with errors imports none."""
    names: set[str] = set()
    for path in source_of(place):
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def source_of(place: Path) -> list[Path]:
    """Returns the source files of a module: its one file, or all of its package.

    Python imports no hidden ones, such as Jupyter's copies in .ipynb_checkpoints, and no links that lead nowhere, such
    as Emacs's locks.
    """
    if not place.is_dir():
        return [place]
    found = (path for path in place.rglob("*.py") if path.is_file())
    return sorted(one for one in found if not any(part.startswith(".") for part in one.relative_to(place).parts))
