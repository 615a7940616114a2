"""Run folders: whole or not at all, and read back as they were written."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attacks
from robust import Target, Task, bind, gaussian, load
from robust.store import Folder, FolderError, _flatten, _unflatten, data_hash
from robust.study import study
from robust.trace import run

SETTINGS = {"task": "t", "attacks": ["best_of_n"], "seeds": 6, "key": 0}


def _sum(x):
    return x.sum(axis=1)


def _shifted(shift, x):
    return (x - shift[None]).sum(axis=1)


def _target():
    return Target(bind(_sum), gaussian(3))


def test_runs_on_other_data_are_other_runs():
    """Prompts and what a proxy has learned count; a typed key is data like others."""
    plain, context = _target(), {"clip": np.arange(3), "key": jax.random.key(0)}
    moved = Target(bind(_shifted, jnp.ones(3)), gaussian(3))
    again = Target(bind(_shifted, jnp.zeros(3)), gaussian(3))
    pairs = [(plain, None), (plain, context), (moved, None), (again, None),
             (plain, context | {"key": jax.random.key(1)})]  # fmt: skip
    assert len({data_hash(*pair) for pair in pairs}) == 5
    assert data_hash(plain, context) == data_hash(_target(), dict(context))


def test_trees_survive():
    tree = {
        "a": np.arange(3), "b": None, "c": [np.ones(2), (np.zeros(1), {"d": "text"})],
        "e": {},
    }  # fmt: skip
    back = _unflatten(_flatten(tree), "")
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    assert back["c"][1][1]["d"] == "text"


def test_a_finished_run_reads_back(tmp_path):
    task = Task(_target(), lambda x: np.asarray(x).sum(axis=1))
    chosen = [attacks.best_of_n(16)]
    found = study(task, chosen, key=jax.random.key(0), seeds=6, draws=4096, judged=500)
    folder = Folder(tmp_path / "run", SETTINGS)
    result = found.results[0]
    folder.write_trace("best_of_n", result.trace)
    folder.write_arrays("reference.npz", found.reference)
    folder.write_arrays(
        "best_of_n.result.npz",
        {"true": result.true, "curve": result.curve, "causes": result.causes},
    )
    with pytest.raises(FolderError, match="unfinished run; finish it"):
        load(tmp_path / "run")
    folder.write_info("complete", results=[])
    back = load(tmp_path / "run")
    np.testing.assert_array_equal(back.traces["best_of_n"].proxy, result.trace.proxy)
    np.testing.assert_array_equal(back.true["best_of_n"], result.true)
    np.testing.assert_array_equal(back.reference.proxy, found.reference.proxy)
    assert back.curves["best_of_n"].names == {"attack": "best_of_n", "unit": "seeds"}
    again = back.curves["best_of_n"].divergence(healthy=False)
    assert int(again.verdict) == int(result.divergence.verdict)
    assert back.info["environment"]["versions"]["jax"] == jax.__version__


def test_an_attack_resumes_with_the_same_bits(tmp_path):
    attack, key = attacks.splitting(4, 3), jax.random.key(1)
    seen = []
    options = {"seeds": 2, "slots": 64, "keep": 8}
    whole = run(attack, _target(), key, on_checkpoint=seen.append, **options)
    folder = Folder(tmp_path / "run", SETTINGS)
    folder.write_checkpoint("splitting", seen[2])
    assert not folder.resumed
    again = Folder(tmp_path / "run", SETTINGS)
    assert again.resumed
    kept = again.checkpoints()["splitting"]
    rest = run(attack, _target(), key, resume=kept, **options)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(rest), strict=True):
        np.testing.assert_array_equal(a, b)
    again.write_trace("splitting", rest)
    assert not again.checkpoints()
    np.testing.assert_array_equal(again.traces()["splitting"].proxy, whole.proxy)


def test_folders_that_cannot_take_a_run(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FolderError, match="is a file; give a folder"):
        Folder(tmp_path / "file", SETTINGS)
    with pytest.raises(FolderError, match=r"cannot write to .*; choose another --out"):
        Folder(tmp_path / "file" / "below", SETTINGS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(FolderError, match="is not a run folder"):
        Folder(tmp_path / "other", SETTINGS)
    assert [f.name for f in (tmp_path / "other").iterdir()] == ["thesis.tex"]
    Folder(tmp_path / "run", SETTINGS)
    with pytest.raises(FolderError, match=r"holds another run .seeds 6, not 8"):
        Folder(tmp_path / "run", {**SETTINGS, "seeds": 8})
    Folder(tmp_path / "run", SETTINGS).write_info("complete")
    with pytest.raises(FolderError, match="holds this run, finished"):
        Folder(tmp_path / "run", SETTINGS)


def test_broken_descriptions(tmp_path):
    with pytest.raises(FolderError, match=r"it has no run.json"):
        load(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(FolderError, match="is not a run's description"):
        load(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"schema": 99, "status": "complete"}))
    with pytest.raises(FolderError, match="schema 99"):
        load(tmp_path)


def test_nothing_is_left_half_written(tmp_path):
    folder = Folder(tmp_path / "run", SETTINGS)

    class Broken:
        def savefig(self, file, format):
            file.write(b"half a picture")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folder.write_figure("curve.png", Broken())
    assert [f.name for f in folder.path.iterdir()] == ["run.json"]
    folder.discard_if_empty()
    assert not folder.path.exists()


def test_jax_arrays_are_stored(tmp_path):
    folder = Folder(tmp_path / "run", SETTINGS)
    folder.write_arrays("a.npz", {"x": jnp.arange(3)})
    assert (folder.path / "a.npz").stat().st_size > 0
