"""Keep what took long to make, such as trained proxies, between calls.

Entries are safetensors files, which other libraries read too and which run no code.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from robust.store import atomically, source_hash

_MADE_WITH = ("jax", "jaxlib", "numpy", "optax", "flax")


class Entry(NamedTuple):
    """One thing that is kept."""

    name: str
    bytes: int
    path: Path


def keep(name: str, recipe: dict, make: Callable[[], Any]) -> Any:
    """Make arrays once, and read them back while nothing that made them changes.

    They are kept in the user's cache folder under a hash of the name, the recipe, the
    file in which `make` is written and those of its own package that this imports
    from, the versions of the numerical packages and the kind of device.

    Args:
      name: for people, such as "digits-proxy".
      recipe: all that the result depends on beside the code: sizes, seeds, keys;
        JSON values, arrays or typed keys.
      make: `() -> tree` of nested dicts and lists of arrays.

    Returns:
      the tree, of host arrays. An entry that cannot be read is made again, with a
      warning; where the tree is another or the folder cannot be written, nothing is
      kept, with a warning. What is made in a notebook is never kept.
    """
    source = source_hash(make)
    if not source:  # as in a notebook: nothing would notice that it was edited
        return _on_host(make())
    path = folder() / f"{name}-{_hash(name, recipe, source)[:20]}.safetensors"
    if path.is_file():
        try:
            return _read(path)
        except (OSError, ValueError) as error:
            warnings.warn(
                f"{path} is damaged ({error}); making {name} again", stacklevel=2
            )
    tree = _on_host(make())
    try:
        _write(path, tree)
    except (OSError, TypeError) as error:
        warnings.warn(f"cannot keep {name}: {error}", stacklevel=2)
    return tree


def _on_host(tree):
    return jax.tree.map(np.asarray, jax.device_get(tree))


def folder() -> Path:
    """Where things are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("robust-to-optimization")) / "kept"


def entries() -> list[Entry]:
    """All that is kept, by name."""
    found = sorted(folder().glob("[!.]*-*")) if folder().is_dir() else []
    return [
        Entry(path.name.rpartition("-")[0], path.stat().st_size, path)
        for path in found
        if path.is_file()
    ]


def clear() -> int:
    """Forget all of it; returns the number of bytes."""
    gone = entries()
    for entry in gone:
        entry.path.unlink(missing_ok=True)
    return sum(entry.bytes for entry in gone)


def _hash(name, recipe, source) -> str:
    made_of = {
        "name": name,
        "recipe": recipe,
        "sources": source,
        "versions": {package: version(package) for package in _MADE_WITH},
        "device": jax.default_backend(),
        "x64": jax.config.read("jax_enable_x64"),
    }
    text = json.dumps(made_of, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value):
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(
        value.dtype, jax.dtypes.prng_key
    ):
        return [str(jax.random.key_impl(value)), jax.random.key_data(value).tolist()]
    return np.asarray(value).tolist()


def _write(path: Path, tree) -> None:
    from safetensors.numpy import save

    named, structure = jax.tree_util.tree_flatten_with_path(tree)
    names = [jax.tree_util.keystr(at, simple=True, separator="/") for at, _ in named]
    # In any other order of memory they would be written wrongly.
    leaves = [np.array(leaf, order="C") for _, leaf in named]
    arrays = dict(zip(names, leaves, strict=True))
    shape = json.dumps(jax.tree.unflatten(structure, names))
    plain = all(leaf.dtype.kind in "biuf" for leaf in leaves)
    same = jax.tree.structure(json.loads(shape)) == structure
    if not plain or not same or len(arrays) < len(leaves):
        raise TypeError(
            "it is no tree of dicts and lists of numbers, by distinct names"
        )
    about = {"tree": shape, "sha256": _checksum(shape, arrays)}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomically(path, lambda file: file.write(save(arrays, about)))


def _read(path: Path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(error) from error
    if _checksum(about.get("tree", ""), arrays) != about.get("sha256"):
        raise ValueError("its checksum is wrong")
    return jax.tree.map(arrays.__getitem__, json.loads(about["tree"]))


def _checksum(shape: str, arrays) -> str:
    digest = hashlib.sha256(shape.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
