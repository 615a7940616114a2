"""Time `robust curve` on ten million rows, and one prompt's curve beside a sort.

Run: python -m benchmarks.speed.bank [--prompts 100000] [--answers 100] [--rows 1e7]
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from robust import best_of_n_curve


def main() -> None:
    """Print two Markdown tables and the machine they were measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--rows", type=float, default=1e7, help="largest single prompt")
    options = parser.parse_args()
    print(f"Measured on {machine()}.\n")
    print(
        "| rows | format | MB | seconds | peak memory, GB |\n|---:|---|---:|---:|---:|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for file in banks(Path(folder), options.prompts, options.answers):
            seconds, peak = command(file)
            rows, size = options.prompts * options.answers, file.stat().st_size / 1e6
            print(
                f"| {rows:,} | {''.join(file.suffixes)[1:]} | {size:.0f} | "
                f"{seconds:.1f} | {peak:.2f} |",
                flush=True,
            )
    print("\n| answers to one prompt | seconds | numpy.sort, seconds | ratio |")
    print("|---:|---:|---:|---:|")
    for power in range(4, round(np.log10(options.rows)) + 1):
        curve, sort = one_prompt(10**power)
        print(
            f"| 1e{power} | {curve:.4f} | {sort:.4f} | {curve / sort:.1f} |", flush=True
        )


def machine() -> str:
    """Describe processor, cores, memory and versions."""
    import polars

    name, memory = platform.machine(), 0.0
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if "model name" in x), name)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{name}, {os.cpu_count()} cores, {memory:.0f} GB, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, polars "
        f"{polars.__version__}"
    )


def banks(folder: Path, prompts: int, answers: int):
    """Write one bank in every format, rows shuffled, and yield the files in turn."""
    import polars

    rng = np.random.default_rng(0)
    rows = prompts * answers
    true = rng.normal(size=rows)
    number = rng.permutation(np.repeat(np.arange(prompts), answers))
    table = polars.DataFrame({"number": number, "proxy": true + rng.normal(size=rows)})
    table = table.select(
        polars.format("prompt {}", "number").alias("prompt"),
        "proxy",
        true=polars.Series(true),
    )
    for ending, write in (
        ("parquet", table.write_parquet), ("csv", table.write_csv),
        ("jsonl", table.write_ndjson),
    ):  # fmt: skip
        write(folder / f"bank.{ending}")
        yield folder / f"bank.{ending}"


def command(file: Path) -> tuple[float, float]:
    """Seconds and peak memory in GB of the whole command, from its own process."""
    started = time.monotonic()
    arguments = [sys.executable, "-m", "robust.cli", "curve", str(file)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - started, used.ru_maxrss * unit / 1e9


def one_prompt(answers: int) -> tuple[float, float]:
    """Seconds of the curve of one prompt and of sorting the same scores once."""
    rng = np.random.default_rng(0)
    proxy, true = rng.normal(size=(2, answers))
    repeat = max(1, 10**6 // answers)
    curve = best(lambda: best_of_n_curve(proxy, true), repeat)
    return curve, best(lambda: np.sort(proxy), repeat)


def best(function: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest of three times `repeat` calls, a call."""
    fastest = np.inf
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(repeat):
            function()
        fastest = min(fastest, (time.perf_counter() - started) / repeat)
    return fastest


if __name__ == "__main__":
    main()
