"""One BLAS thread in the command line, unless the user has chosen."""

import numpy as np
import pytest
import threadpoolctl

from robust import store, threads


@pytest.fixture
def two_threads():
    np.linalg.eigh(np.eye(2))
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if threads.blas_threads() != 2:
            pytest.skip("no BLAS here that takes two threads")
        yield


def test_one_thread_and_it_is_recorded(two_threads, monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    threads.use_one_blas_thread()
    assert threads.blas_threads() == store.environment()["blas_threads"] == 1


@pytest.mark.parametrize("name", ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"])
def test_the_users_choice_stands(two_threads, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    threads.use_one_blas_thread()
    assert threads.blas_threads() == 2
