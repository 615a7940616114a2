"""Threads of the linear algebra library beside JAX's own."""

import os


def use_one_blas_thread() -> None:
    """Give OpenBLAS one thread, in the command line only, unless the user has chosen.

    The small decompositions of `evolution` cost several times the CPU time when two
    threads wait for each other, and JAX has threads of its own.
    """
    import threadpoolctl

    if not {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"} & os.environ.keys():
        threadpoolctl.threadpool_limits(1, user_api="blas")


def blas_threads() -> int:
    """The most threads that a BLAS of this process may use; 0 where none is loaded."""
    import threadpoolctl

    pools = threadpoolctl.threadpool_info()
    return max((p["num_threads"] for p in pools if p["user_api"] == "blas"), default=0)
