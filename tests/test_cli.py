"""The command as a user types it: results, and one line for each mistake."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from robust import load
from robust.cli import command

pytestmark = pytest.mark.usefixtures("compiled_quickly")

TASK = """
import jax.numpy as jnp
import numpy as np
from robust import Target, Task, bind, box, gaussian, tokens

def total(x):
    return x.sum(axis=1)

def easy():
    return Task(Target(bind(total), box(3)), lambda x: x.sum(axis=1),
                facts={"concept": "the sum"}, render=lambda x: [str(r) for r in x])

def words():
    return Task(Target(lambda x: x.sum(axis=1).astype(float), tokens(4, 5)),
                lambda x: x.sum(axis=1))

def nan_judge():
    return Task(Target(bind(total), box(3)), lambda x: np.full(len(x), np.nan))

def wide_judge():
    return Task(Target(bind(total), box(3)), lambda x: x[:, :, None])

def wide_proxy():
    return Task(Target(lambda x: x, box(3)), lambda x: x.sum(axis=1))

def constant():
    return Task(Target(lambda x: 0 * x[:, 0], box(3)), lambda x: x.sum(axis=1))

def needy(data):
    return None

def late():
    return {}["missing"]

def broken_proxy():
    return Task(Target(lambda x: x @ jnp.ones(7), box(3)), lambda x: x.sum(axis=1))

def broken_judge():
    return Task(Target(bind(total), box(3)), lambda x: x.nothing)

def tuned():
    return Task(Target(bind(total), box(3)), lambda x: x.sum(axis=1),
                attacks={"best_of_n": {"slots": 32}, "gradient_ascent": {"steps": 20}},
                settings={"draws": 2000, "judged": 200, "table": False},
                judges={"first": lambda x: x[:, 0]},
                export=lambda folder, label, x: np.save(folder / f"{label}.npy", x))

def mistuned():
    return Task(Target(bind(total), box(3)), lambda x: x.sum(axis=1),
                attacks={"best_of_n": {"step": 32}})

def nothing():
    return 3

number = 3
"""


@pytest.fixture
def task_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(TASK)
    (tmp_path / "broken.py").write_text("1 +")
    return "mine.py"


def test_list_names_what_there_is(capsys):
    assert command(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("best_of_n", "splitting", "gradient_ascent", "digits", "gradient"):
        assert name in text


def test_run_writes_a_folder_and_says_the_verdict(task_file, tmp_path, capsys):
    arguments = ["run", f"{task_file}:easy", "--seeds", "6", "--out", "out"]
    assert command(arguments) == 0
    said = capsys.readouterr()
    for name in ("best_of_n", "splitting", "gradient_ascent"):
        assert f"{name}: ROBUST" in said.out
    assert "drop at most" in said.out
    assert "diagnosis: sound" in said.out
    run = load(tmp_path / "out")
    assert run.info["status"] == "complete"
    assert set(run.curves) == {"best_of_n", "splitting", "gradient_ascent"}
    for name in ("curve.png", "inputs.png"):
        assert (tmp_path / "out" / name).read_bytes()[:4] == b"\x89PNG"
    results = json.loads((tmp_path / "out" / "run.json").read_text())["results"]
    assert [result["verdict"] for result in results] == ["robust"] * 3
    before = (tmp_path / "out" / "run.json").read_bytes()
    assert command(arguments) == 64
    assert "holds this run, finished" in capsys.readouterr().err
    assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_constant_proxy_is_degenerate_not_robust(task_file, capsys):
    chosen = ["--attack", "best_of_n", "--seeds", "6", "--out", "out"]
    assert command(["run", f"{task_file}:constant", *chosen]) == 0
    assert "best_of_n: DEGENERATE" in capsys.readouterr().out


def test_default_attacks_are_those_that_apply(task_file, capsys):
    assert command(["run", f"{task_file}:words", "--seeds", "6", "--out", "out"]) == 0
    said = capsys.readouterr()
    for name in ("best_of_n: ", "splitting: ", "annealing: "):
        assert name in said.out
    assert "gradient_ascent" not in said.out


def test_a_task_says_how_it_is_attacked(task_file, tmp_path, capsys):
    assert command(["run", f"{task_file}:tuned", "--seeds", "6", "--out", "out"]) == 0
    said = capsys.readouterr().out
    assert "judges.png" in said
    assert "│ first " in said
    run = load("out")
    assert set(run.traces) == {"best_of_n", "gradient_ascent"}
    assert run.traces["best_of_n"].proxy.shape[2] == 32
    assert run.traces["gradient_ascent"].steps[-1] == 20
    assert run.reference.proxy.shape[1] >= 2000
    assert run.reference.true.shape[1] == 200
    assert run.info["summary"]["judges"]["first"]["best_of_n"]["true"]["mean"][0] < 0.5
    assert run.info["memory_mb"] > 50
    files = {file.name for file in (tmp_path / "out" / "inputs").iterdir()}
    assert files == {"ordinary.npy", "best_of_n.npy", "gradient_ascent.npy"}


MISTAKES = {
    "unknown option of a task's": (
        ["run", "mine.py:mistuned"], "the task gives best_of_n the options step",
    ),
    "nearest task": (["run", "digit"], "unknown task 'digit'; did you mean digits"),
    "nearest attack": (
        ["run", "mine.py:easy", "--attack", "spliting"],
        "unknown attack 'spliting'; did you mean splitting?",
    ),
    "no file": (["run", "no.py:easy"], "no file 'no.py'"),
    "broken file": (["run", "broken.py:easy"], "'broken.py' does not run: Syntax"),
    "no name in file": (["run", "mine.py:eazy"], "has no 'eazy'; it has easy"),
    "no colon": (["run", "mine.py"], "write FILE.py:NAME"),
    "not a function": (["run", "mine.py:number"], "is a int, not a function"),
    "needs arguments": (["run", "mine.py:needy"], "wants data; give each a default"),
    "not a task": (["run", "mine.py:nothing"], "returned int; return a robust.Task"),
    "broken factory": (
        ["run", "mine.py:late"],
        "task 'mine.py:late' failed: KeyError at mine.py:",
    ),
    "broken proxy": (["run", "mine.py:broken_proxy"], "the proxy failed: TypeError at"),
    "broken judge": (
        ["run", "mine.py:broken_judge", "--attack", "best_of_n"],
        "the judge failed: AttributeError at mine.py:",
    ),
    "zero seeds": (["run", "--seeds", "0"], "seeds is 0; give a whole number above"),
    "a key too large": (["run", "--key", "4294967296"], "--key. Must be < 4294967296"),
    "a key below zero": (["selftest", "--key=-1"], "--key. Must be >= 0"),
    "negative seeds": (["run", "--seeds", "-3"], "seeds is -3; give a whole number"),
    "text for seeds": (["run", "--seeds", "many"], "many"),
    "unknown option": (["run", "--sedes", "3"], "--sedes"),
    "unknown command": (["rum"], "rum"),
    "lacks a gradient": (
        ["run", "mine.py:words", "--attack", "gradient_ascent"],
        "gradient_ascent needs 'continuous', which this target lacks",
    ),
    "NaN judge": (
        ["run", "mine.py:nan_judge", "--attack", "best_of_n"],
        "judge returned NaN or other non-finite scores for",
    ),
    "judge's shape": (
        ["run", "mine.py:wide_judge", "--attack", "best_of_n"],
        "return one score per candidate, shape (",
    ),
    "proxy's shape": (["run", "mine.py:wide_proxy"], "proxy returned shape (2, 3) for"),
    "a suite's attack": (["run", "quick", "--attack", "nosuch"], "unknown attack"),
    "out is a file": (["run", "mine.py:easy", "--out", "mine.py"], "is a file"),
    "out below a file": (["run", "mine.py:easy", "--out", "mine.py/a"], "cannot write"),
    "out holds others": (["run", "mine.py:easy", "--out", "."], "is not a run folder"),
    "twice the same": (
        ["run", "mine.py:easy", "--attack", "best_of_n", "--attack", "best_of_n"],
        "each name once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_line_and_64(mistake, task_file, tmp_path, capsys):
    arguments, wanted = MISTAKES[mistake]
    before = sorted(p.name for p in tmp_path.iterdir())
    assert command(arguments) == 64
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("robust: ")]
    assert wanted in lines[0]
    assert "Traceback" not in said
    assert len(lines) == 1
    assert said.splitlines()[-1] == lines[0]
    left = {p.name for p in tmp_path.iterdir()} - {"cache", "__pycache__", "runs"}
    assert sorted(left) == [name for name in before if name != "cache"]
    assert not list((tmp_path / "runs").glob("*")) if "runs" in left else True


def test_an_interrupted_run_goes_on(task_file, tmp_path):
    """Ctrl-C keeps what was computed; the same command goes on and finishes."""
    arguments = [
        sys.executable, "-m", "robust.cli", "run", f"{task_file}:easy", "--seeds", "6",
        "--out", "out",
    ]  # fmt: skip
    process = subprocess.Popen(
        arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    folder = tmp_path / "out"
    deadline = time.monotonic() + 120
    while not list(folder.glob("*.trace.npz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "go on with --out out" in said
    assert "Traceback" not in said
    assert list(folder.glob("*.trace.npz"))
    assert command(arguments[3:]) == 0
    assert load(folder).info["status"] == "complete"
    assert len(load(folder).info["settings"]["data"]) == 64
