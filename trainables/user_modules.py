"""Finds and imports the user's modules: in the study's folder first, then in the working directory.

A module of theirs may be a file, a package or a folder without `__init__.py`. It may have the name of a standard module
or of an installed one; it is then imported under a name of its own, so that whoever needs the other one still gets it.
A name of one of Temper's packages is never looked for among the user's modules.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from trainables.user_source import INSTALLED, OURS, modules_beside, place_of, source_of

STUDY_FOLDER = "TEMPER_STUDY_FOLDER"  # the folder of the study's file; processes that this one starts inherit it
WORKING_FOLDER = "TEMPER_WORKING_FOLDER"  # where a process works that was started elsewhere: see `go_to_work`
SHIPPED = "user_code"  # the folder that holds what is the user's, in the working directory of other machines
_ALIAS = "temper_user_"  # begins the names of modules whose own name is another module's

Source = dict[Path, tuple[int, int] | None]  # of a module and those beside it: when each file was written, and its size
_loaded: dict[str, tuple[Path, Source]] = {}  # what `imported` was asked for, by the names in `sys.modules`
_importing: list[str] = []  # what `imported` is at work on now, the innermost last


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
    _importing.append(module)
    try:
        return _imported(module)
    finally:
        _importing.pop()


def being_imported() -> str | None:
    """Returns the module that `imported` is at work on, whose code asks for this as it runs; None: there is none."""
    return _importing[-1] if _importing else None


def _imported(module: str) -> ModuleType:
    spec, (top, *inner) = spec_of(module), module.split(".")
    place = None if spec is None else place_of(spec)
    if spec is None or place is None or not any(place.parent == folder for folder in user_folders()):
        return importlib.import_module(module)
    name = top
    if _is_taken(top, place):
        name = _ALIAS + top
    known = sys.modules.get(name)
    if known is not None and not _is_from(known, place):  # an earlier study's, from another folder
        _forget(name)
    with _folder_first(place):
        if name not in _loaded or name not in sys.modules:
            _loaded[name] = place, _source(place)  # before it runs, so that a change meanwhile is noticed
        if name not in sys.modules:
            _load(name, spec, place)
        return importlib.import_module(".".join([name, *inner]))


def forget_changed() -> None:
    """Lets modules whose files have changed since they were first asked for be imported anew, as after an edit.

    A module is forgotten with all of those beside it that it imports. It is called before something begins, never
    within a search, all of whose parts are to be of one source. Objects of the old modules live on.
    """
    for name, (place, written) in list(_loaded.items()):
        if _source(place) != written:
            _forget(name)
            for one in modules_beside(place):
                beside = sys.modules.get(one.stem)
                if beside is not None and _is_from(beside, one):
                    _forget(one.stem)
            del _loaded[name]


def _source(place: Path) -> Source:
    """Returns what the files of a module and of those beside it look like from outside; None for one that is gone."""
    found: Source = {}
    for path in (path for one in modules_beside(place) for path in source_of(one)):
        try:
            seen = path.stat()
        except OSError:
            found[path] = None
        else:
            found[path] = seen.st_mtime_ns, seen.st_size
    return found


def _forget(name: str) -> None:
    for one in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
        del sys.modules[one]


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
