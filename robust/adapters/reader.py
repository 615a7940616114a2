"""Readers of chains: a function in a file, or an endpoint over HTTP.

A reader sees chains without their questions and tells the answer to each. What it says
is kept in a file, so that a paid one is not asked twice about the same chain.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robust.blame import blame
from robust.registry import find
from robust.store import atomically, source_hash

Reader = Callable[[list[str]], list]

BATCH = 16
TIMEOUT = 60.0  # seconds for one batch
RETRIES = 4
BACKOFF = 0.5  # seconds before the second retry, doubled from one to the next
_AGAIN = (429, 500, 502, 503, 504)


def find_reader(name: str, timeout: float = TIMEOUT) -> Reader:
    """Find a reader by its name.

    Args:
      name: "path/to/file.py:function", `list of chains -> list of answers`; or an
        http(s) address, to which {"chains": [...]} is posted and which answers
        {"answers": [...]}.
      timeout: seconds for one batch over HTTP.

    Raises:
      ValueError: there is no such file or function, or it is neither.
    """
    if name.startswith(("http://", "https://")):
        return _endpoint(name, timeout)
    if ".py" not in name:
        raise ValueError(
            f"--reader is {name!r}; give file.py:function or an http(s) address"
        )
    return find("reader", name)


def ask_reader(
    reader: Reader,
    name: str,
    chains: list[str],
    kept: Path,
    *,
    batch: int = BATCH,
    progress: Callable[[float], None] = lambda share: None,
) -> list[str]:
    """Ask a reader about chains, each distinct one once, in batches.

    Args:
      reader, name: as `find_reader`.
      chains: what it is shown.
      kept: file of earlier answers, made and added to after every batch; those of
        another reader or of an edited one are not used.
      batch: chains in one call.
      progress: is told the share that is done.

    Returns:
      Answers `[N]` as text without white space around it.

    Raises:
      ValueError: the reader failed, or gave something other than one answer a chain;
        what it had said before is kept.
    """
    mark = _mark(reader, name)
    known = _read_kept(kept)
    keys = [_key(mark, chain) for chain in chains]
    open_ = list(
        {k: c for k, c in zip(keys, chains, strict=True) if k not in known}.items()
    )
    for start in range(0, len(open_), batch):
        progress(start / len(open_))
        some = open_[start : start + batch]
        answers = _call(reader, name, [chain for _, chain in some])
        known |= dict(zip([key for key, _ in some], answers, strict=True))
        _write_kept(kept, known)
    progress(1.0)
    return [known[key] for key in keys]


def _call(reader: Reader, name: str, chains: list[str]) -> list[str]:
    try:
        answers = reader(list(chains))
    except ValueError:
        raise  # meant for its user
    except Exception as error:
        raise ValueError(f"the reader {name} failed: {blame(error)}") from error
    if isinstance(answers, str | bytes | dict) or not hasattr(answers, "__len__"):
        raise ValueError(
            f"the reader {name} gave a {type(answers).__name__}; wanted a list with "
            "one answer for each chain"
        )
    if len(answers) != len(chains):
        raise ValueError(
            f"the reader {name} gave {len(answers)} answers to {len(chains)} chains; "
            "wanted one for each, in their order"
        )
    return ["" if answer is None else str(answer).strip() for answer in answers]


def _endpoint(url: str, timeout: float) -> Reader:
    try:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry
    except ImportError as error:
        raise ValueError(
            f"a reader over HTTP takes the package {error.name!r}; pip install "
            "'robust-to-optimization[http]'"
        ) from error
    retry = Retry(
        total=RETRIES, backoff_factor=BACKOFF, status_forcelist=_AGAIN,
        allowed_methods=["POST"], raise_on_status=False,
    )  # fmt: skip

    def read(chains: list[str]) -> list:
        try:
            with requests.Session() as session:
                session.mount(url, HTTPAdapter(max_retries=retry))
                reply = session.post(url, json={"chains": chains}, timeout=timeout)
        except requests.exceptions.RequestException as error:
            raise ValueError(
                f"the reader {url} does not answer ({_cause(error)}), asked "
                f"{RETRIES + 1} times; check the address and that it runs"
            ) from error
        if not reply.ok:
            raise ValueError(
                f"the reader {url} answers {reply.status_code} {reply.reason}: "
                f"{reply.text.strip()[:80]!r}; wanted 200 with " + '{"answers": [...]}'
            )
        try:
            return reply.json()["answers"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"the reader {url} answers {reply.text.strip()[:80]!r}; wanted "
                '{"answers": [...]} with one answer for each of {"chains": [...]}'
            ) from error

    return read


def _cause(error: BaseException) -> str:
    """The innermost reason, without the addresses of objects."""
    while True:
        inner: Any = getattr(error, "reason", None) or error.__cause__
        inner = inner or next((a for a in error.args if isinstance(a, Exception)), None)
        if not isinstance(inner, BaseException):
            return f"{type(error).__name__}: {str(error).split('>: ')[-1][:100]}"
        error = inner


def _mark(reader: Reader, name: str) -> str:
    return name if name.startswith("http") else f"{name} {source_hash(reader)}"


def _key(mark: str, chain: str) -> str:
    text = json.dumps([mark, chain])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read_kept(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}, where the reader's answers are kept, does not read ({error}); "
            "delete it to ask again"
        ) from error
    if not isinstance(known, dict) or not all(
        isinstance(v, str) for v in known.values()
    ):
        raise ValueError(
            f"{path} is not a file of a reader's answers; move it away, they are kept "
            "there"
        )
    return known


def _write_kept(path: Path, known: dict[str, str]) -> None:
    text = json.dumps(known, indent=0) + "\n"
    try:
        atomically(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise ValueError(
            f"cannot keep the reader's answers in {path}: {error.strerror or error}; "
            "put the transcripts where files can be written"
        ) from error
