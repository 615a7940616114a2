"""Find attacks and tasks by entry point, ours exactly as a stranger's."""

import difflib
import functools
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from robust.blame import blame

GROUPS = {
    "attack": "robust.attacks", "task": "robust.tasks", "data": "robust.data",
    "experiment": "robust.experiments", "defence": "robust.defences",
}  # fmt: skip


class UnknownName(ValueError):
    """No plug-in of this name; the message has the nearest ones."""


def names(kind: str) -> dict[str, EntryPoint]:
    """All plug-ins of a kind in `GROUPS` by name."""
    found = entry_points(group=GROUPS[kind])
    return {point.name: point for point in sorted(found, key=lambda p: p.name)}


def find(kind: str, name: str) -> Callable:
    """Load the factory of an attack or a task, or an experiment.

    Args:
      kind: one of `GROUPS`.
      name: an entry point's name, or "path/to/file.py:factory".

    Raises:
      UnknownName: there is none of that name, or no such file or function.
      ValueError: the file does not run.
    """
    if ".py" in name:
        return _from_file(kind, name)
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "there are none"
        if not near and known:
            hint = f"known: {', '.join(known)}"
        raise UnknownName(
            f"unknown {kind} {name!r}; {hint} (or name a file: my_{kind}.py:{kind})"
        )
    try:
        return known[name].load()
    except Exception as error:
        raise ValueError(
            f"{kind} {name!r} ({known[name].value}) does not load: {blame(error)}"
        ) from error


def _from_file(kind: str, name: str) -> Callable:
    path, _, attribute = name.rpartition(":")
    if not path or not attribute:
        raise UnknownName(f"got {kind} {name!r}; write FILE.py:NAME")
    file = Path(path)
    if not file.is_file():
        raise UnknownName(f"no file {path!r} for {kind} {name!r}; check the path")
    module = _load(file.resolve(), file.stat().st_mtime_ns)
    public = [n for n in vars(module) if callable(vars(module)[n]) and n[0] != "_"]
    if attribute not in vars(module):
        near = difflib.get_close_matches(attribute, public, n=3, cutoff=0.0)
        raise UnknownName(
            f"{path!r} has no {attribute!r}; it has {', '.join(near) or 'no functions'}"
        )
    factory = getattr(module, attribute)
    if not callable(factory):
        raise UnknownName(f"{name!r} is a {type(factory).__name__}, not a function")
    return factory


@functools.cache
def _load(file: Path, changed: int):
    """Run a plug-in file, once for as long as it stays as it is."""
    name = f"robust_plugin_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UnknownName(f"'{file.name}' is not a Python file; write FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that its functions can be found by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"'{file.name}' does not run: {blame(error)}") from error
    return module


def make(kind: str, name: str, **offered):
    """Call a factory with those of the offered arguments that it takes.

    Raises:
      UnknownName, ValueError: as `find`; or the factory has other required
        parameters, or fails.
    """
    factory = find(kind, name)
    parameters = inspect.signature(factory).parameters
    required = [
        n for n, p in parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and n not in offered
    ]  # fmt: skip
    if required:
        raise ValueError(
            f"{kind} {name!r} wants {', '.join(required)}; give each a default (only "
            f"{', '.join(offered) or 'nothing'} is passed)"
        )
    taken = {n: v for n, v in offered.items() if n in parameters}
    try:
        return factory(**taken)
    except ValueError:
        raise  # meant for its user
    except Exception as error:
        raise ValueError(f"{kind} {name!r} failed: {blame(error)}") from error
