"""Strict arrays, and figures that need no screen."""

import gc
import os
from importlib.metadata import version
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"
# As in the command line: on small arrays OpenBLAS's threads mostly wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Compiling is most of the suite's time, so: LLVM at -O1, one piece a program, and
# kernels without MLIR. `.ci/run` also runs the installed wheel, compiled as users do.
# XLA aborts at a flag it does not know, and its flags change between releases.
if version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] = " ".join([
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=1",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_use_fusion_emitters=false",
    ])  # fmt: skip

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
# Traces are many small objects that live long: looking through them takes a twentieth.
gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def nothing_kept(tmp_path_factory):
    """Train what is tested now: no proxy from the user's cache, and none left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def compiled_quickly():
    """Spare XLA its optimizations too, in files of small programs."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, True)
    yield
    jax.config.update(name, before)


@pytest.fixture(scope="module", autouse=True)
def not_too_many_programs():
    """Forget compiled programs before the kernel's limit of 65,530 maps a process.

    Each program is several pieces of mapped memory; beyond the limit XLA crashes.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 40_000:
        jax.clear_caches()
