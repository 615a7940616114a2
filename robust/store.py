"""Run folders: every file written whole or not at all, and a run that can go on."""

import hashlib
import json
import os
import platform
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from robust.measure.causes import Causes
from robust.measure.curve import Curve
from robust.reference import Reference
from robust.target import as_pytree
from robust.threads import blas_threads
from robust.trace import Checkpoint, Trace

SCHEMA = 1


class FolderError(ValueError):
    """An output folder that cannot take this run."""


class Run(NamedTuple):
    """A run folder, read back.

    Attributes:
      info: run.json.
      reference: the base as proxy and judge saw it.
      curves, traces, true, causes: by attack.
    """

    info: dict
    reference: Reference
    curves: dict[str, Curve]
    traces: dict[str, Trace]
    true: dict[str, np.ndarray]
    causes: dict[str, Causes]


def environment() -> dict:
    """Versions, device and threads: what the bits of a run depend on."""
    packages = ("robust-to-optimization", "jax", "jaxlib", "numpy", "optax", "flax")
    device = jax.devices()[0]
    return {
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{jax.device_count()} x {device.platform} {device.device_kind}",
        "threads": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "blas_threads": blas_threads(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def peak_memory_mb() -> float | None:
    """The most memory that this process has held, in MiB; None where unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def source_hash(function) -> str:
    """SHA-256 of the files that a function is written in, "" where there is none.

    That is the file that defines it, and what is imported there from its own package.
    """
    function = getattr(function, "func", function)
    module = sys.modules.get(getattr(function, "__module__", ""))
    found = {_file(module), *map(_file, _imported(module))}
    files = sorted(file for file in found if file is not None)
    texts = [hashlib.sha256(Path(file).read_bytes()).digest() for file in files]
    return hashlib.sha256(b"".join(texts)).hexdigest() if _file(module) else ""


def data_hash(target, context) -> str:
    """SHA-256 of the arrays that a target and its prompts are made of."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves((as_pytree(target), context)):
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(
            leaf.dtype, jax.dtypes.prng_key
        ):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _imported(module) -> list:
    """Modules of the same package that a module, or a name in it, comes from."""
    if module is None:
        return []
    package = module.__name__.partition(".")[0]
    values = vars(module).values()
    names = {getattr(value, "__module__", None) for value in values}
    names |= {value.__name__ for value in values if isinstance(value, ModuleType)}
    own = {n for n in names if isinstance(n, str) and n.partition(".")[0] == package}
    return [sys.modules.get(name) for name in own]


def _file(module) -> str | None:
    path = getattr(module, "__file__", None)
    return path if path and Path(path).is_file() else None


class Folder:
    """A run folder that is being written."""

    def __init__(self, path: str | Path, settings: dict):
        """Open a new folder, or one that holds the same run unfinished.

        Args:
          path: the folder; its parents are made.
          settings: what a run with the same results has the same; JSON values.

        Raises:
          FolderError: it is a file, holds something else, or cannot be written.
        """
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings))
        self.resumed = False
        try:
            self._open()
        except OSError as error:
            reason = error.strerror or str(error)
            raise FolderError(
                f"cannot write to {self.path}: {reason}; choose another --out"
            ) from error

    def _open(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise FolderError(f"{self.path} is a file; give a folder with --out")
        if self.path.is_dir() and any(self.path.iterdir()):
            info = _read_info(self.path)
            if info["settings"] != self.settings:
                raise FolderError(
                    f"{self.path} holds another run ({_differ(info, self.settings)}); "
                    "choose another --out"
                )
            if info["status"] == "complete":
                raise FolderError(
                    f"{self.path} holds this run, finished; read its report.md, or "
                    "choose another --out to run again"
                )
            self.resumed = True
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_info("running")

    def write_info(self, status: str, **more) -> None:
        """Write run.json."""
        info = {
            "schema": SCHEMA, "status": status, "settings": self.settings,
            "environment": environment(), **more,
        }  # fmt: skip
        self.write_text("run.json", json.dumps(info, indent=1) + "\n")

    def write_text(self, name: str, text: str) -> None:
        atomically(self.path / name, lambda file: file.write(text.encode()))

    def write_figure(self, name: str, figure) -> None:
        atomically(self.path / name, lambda file: figure.savefig(file, format="png"))

    def write_trace(self, name: str, trace: Trace) -> None:
        """Keep a finished trace, and forget its checkpoint."""
        self.write_arrays(f"{name}.trace.npz", trace._asdict())
        (self.path / f"{name}.checkpoint.npz").unlink(missing_ok=True)

    def write_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep an unfinished attack."""
        self.write_arrays(f"{name}.checkpoint.npz", checkpoint._asdict())

    def write_arrays(self, name: str, tree) -> None:
        arrays: dict[str, Any] = _flatten(jax.device_get(tree))
        atomically(self.path / name, lambda file: np.savez_compressed(file, **arrays))

    def traces(self) -> dict[str, Trace]:
        """Finished traces of the earlier run."""
        return {
            _stem(file): Trace(**_read_arrays(file))
            for file in sorted(self.path.glob("*.trace.npz"))
        }

    def checkpoints(self) -> dict[str, Checkpoint]:
        """Unfinished attacks of the earlier run."""
        found = {}
        for file in sorted(self.path.glob("*.checkpoint.npz")):
            fields = _read_arrays(file)
            fields["steps"] = tuple(int(step) for step in fields["steps"])
            fields["done"] = int(fields["done"])
            found[_stem(file)] = Checkpoint(**fields)
        return found

    def keeps_work(self) -> bool:
        """Whether anything but run.json was written."""
        return [file.name for file in self.path.iterdir()] != ["run.json"]

    def discard_if_empty(self) -> None:
        """Remove a folder in which nothing but run.json was written."""
        if not self.keeps_work():
            (self.path / "run.json").unlink()
            self.path.rmdir()


def load(path: str | Path) -> Run:
    """Read a finished run folder.

    Raises:
      FolderError: it is no run folder, of another schema, or unfinished.
    """
    path = Path(path)
    info = _read_info(path)
    if info["status"] != "complete":
        raise FolderError(
            f"{path} holds an unfinished run; finish it: robust run --out {path}"
        )
    names = info["settings"]["attacks"]
    files = {name: _read_arrays(path / f"{name}.result.npz") for name in names}
    return Run(
        info=info,
        reference=Reference(**_read_arrays(path / "reference.npz")),
        curves={n: Curve(**f["curve"]) for n, f in files.items()},
        traces={n: Trace(**_read_arrays(path / f"{n}.trace.npz")) for n in names},
        true={n: f["true"] for n, f in files.items()},
        causes={n: Causes(**f["causes"]) for n, f in files.items()},
    )


def _stem(file: Path) -> str:
    return file.name.removesuffix(".npz").rpartition(".")[0]


def _read_info(path: Path) -> dict:
    file = path / "run.json"
    if not file.is_file():
        raise FolderError(
            f"{path} is not a run folder (it has no run.json); choose another folder"
        )
    try:
        info = json.loads(file.read_text())
        if info["schema"] == SCHEMA:
            return {"status": info["status"], "settings": info["settings"], **info}
    except (ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{file} is not a run's description: {error}") from error
    raise FolderError(
        f"{path} has schema {info['schema']}, this version reads {SCHEMA}; use the "
        "version that wrote it"
    )


def _differ(info: dict, settings: dict) -> str:
    old = info["settings"]
    keys = [k for k in {**old, **settings} if old.get(k) != settings.get(k)]
    return ", ".join(f"{k} {old.get(k)!r}, not {settings.get(k)!r}" for k in keys[:2])


def atomically(path: Path, write) -> None:
    """Write a file whole or not at all; `write` is given the open file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            write(file)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flatten(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Name each leaf by its path; lists and tuples are marked to be told from dicts."""
    if hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if tree is None:
        return {f"{prefix}:none": np.zeros(0)}
    if isinstance(tree, list | tuple):
        items = [(f"{prefix}#{i}", value) for i, value in enumerate(tree)]
        flat = {f"{prefix}:{type(tree).__name__}": np.asarray(len(tree))}
    elif isinstance(tree, dict):
        items = [(f"{prefix}/{key}", value) for key, value in tree.items()]
        flat = {f"{prefix}:dict": np.asarray(len(tree))}
    else:
        return {prefix: np.asarray(tree)}
    for name, value in items:
        flat.update(_flatten(value, name))
    return flat


def _read_arrays(path: Path) -> Any:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise FolderError(f"cannot read {path}: {error}") from error
    return _unflatten(arrays, "")


def _unflatten(arrays: dict[str, np.ndarray], prefix: str) -> Any:
    if prefix in arrays:
        leaf = arrays[prefix]
        return str(leaf) if leaf.dtype.kind == "U" else leaf
    if f"{prefix}:none" in arrays:
        return None
    for kind in (list, tuple):
        mark = arrays.get(f"{prefix}:{kind.__name__}")
        if mark is not None:
            return kind(_unflatten(arrays, f"{prefix}#{i}") for i in range(int(mark)))
    below = [
        name[len(prefix) + 1 :] for name in arrays if name.startswith(f"{prefix}/")
    ]
    keys = dict.fromkeys(_first_key(name) for name in below)
    return {key: _unflatten(arrays, f"{prefix}/{key}") for key in keys}


def _first_key(name: str) -> str:
    for mark in "/#:":
        name = name.split(mark)[0]
    return name
