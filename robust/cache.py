"""Compiled programs are kept between calls of the command line."""

import os
from pathlib import Path


def keep_compiled_programs() -> None:
    """Keep compiled programs between calls, in the command line only."""
    import jax
    import platformdirs

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = platformdirs.user_cache_dir("robust-to-optimization")
        jax.config.update("jax_compilation_cache_dir", str(Path(folder) / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
