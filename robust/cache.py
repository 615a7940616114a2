"""Compiled programs are kept between calls of the command line."""

import os
from pathlib import Path


def folder() -> Path:
    """Where they are kept, unless JAX_COMPILATION_CACHE_DIR says otherwise."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("robust-to-optimization")) / "jax"


def keep_compiled_programs() -> None:
    """Keep compiled programs between calls, in the command line only."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def programs() -> list[Path]:
    """Files of all that are kept."""
    return [file for file in folder().glob("*") if file.is_file()]


def clear() -> int:
    """Forget all of them; returns the number of bytes."""
    gone = programs()
    size = sum(file.stat().st_size for file in gone)
    for file in gone:
        file.unlink(missing_ok=True)
    return size
