"""An experiment is run, printed and kept by the command, ours as a stranger's."""

import json

import pytest

from robust import registry
from robust.cli import command
from robust.experiments import Findings, as_markdown

TOY = """
from robust import Findings

def toy(folder, *, key, seeds=3, say):
    say("counting", 0.5)
    (folder / "counts.txt").write_text(f"{key} {seeds}")
    rows = [["what", "count"], ["seeds", str(seeds)]]
    return Findings("Counted", ["It is three | or so."], {"Counts": rows})

def interrupted(folder, *, key, seeds=3, say):
    left = folder / "half.txt"
    if not left.exists():
        left.write_text("half")
        raise KeyboardInterrupt
    return Findings("Whole", [left.read_text()], {})

def bad(folder, *, key, seeds=3, say):
    raise ValueError(f"seeds is {seeds}; give 9")
"""


@pytest.fixture
def toy(tmp_path):
    file = tmp_path / "toy.py"
    file.write_text(TOY)
    return lambda name: f"{file}:{name}"


def test_markdown_has_title_lines_pictures_and_tables():
    tables = {"A": [["x"], ["1"]]}, {"B": [["y"], ["2"]]}
    text = as_markdown(Findings("T", ["one"], tables[0], ["a.png"], tables[1]))
    assert text == (
        "# T\n\none\n\n![a.png](a.png)\n\n"
        "## A\n\n| x |\n|---|\n| 1 |\n\n## B\n\n| y |\n|---|\n| 2 |\n"
    )


def test_bench_prints_and_keeps_what_was_found(toy, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(["bench", toy("toy"), f"--out={out}", "--key=4"]) == 0
    said = capsys.readouterr().out
    assert "It is three | or so." in said
    assert "Counts" in said
    assert (out / "counts.txt").read_text() == "4 3"
    assert "| seeds | 3 |" in (out / "report.md").read_text()
    info = json.loads((out / "run.json").read_text())
    assert info["status"] == "complete"
    assert info["settings"]["seeds"] == 3
    assert info["findings"]["tables"]["Counts"][1] == ["seeds", "3"]
    assert command(["bench", toy("toy"), f"--out={out}", "--key=4"]) == 64
    assert "finished" in capsys.readouterr().err


def test_an_interrupted_experiment_goes_on_in_its_folder(toy, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(["bench", toy("interrupted"), f"--out={out}"]) == 130
    assert "robust: stopped" in capsys.readouterr().err
    assert command(["bench", toy("interrupted"), f"--out={out}"]) == 0
    assert "going on with" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench", "{bad}"], "seeds is 3; give 9"),
        (["bench", "{bad}", "--seeds=0"], "seeds is 0"),
        (["bench", "{bad}", "--key=9999999999999"], "--key. Must be < 4294967296"),
        (["bench", "nonsense"], "unknown experiment 'nonsense'"),
        (["run", "overoptimization", "--attack=square"], "takes no --attack"),
        (["run", "overoptimization", "--regret"], "takes no --regret"),
    ],
)
def test_mistakes_are_one_line(arguments, said, toy, tmp_path, capsys):
    arguments = [a.format(bad=toy("bad")) for a in arguments]
    assert command([*arguments, f"--out={tmp_path / 'out'}"]) == 64
    error = capsys.readouterr().err
    assert said in error
    assert error.splitlines()[-1].startswith("robust: ")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_our_experiments_load_and_take_what_the_command_gives():
    import inspect

    assert "overoptimization" in registry.names("experiment")
    for name in registry.names("experiment"):
        found = inspect.signature(registry.find("experiment", name)).parameters
        assert {"key", "seeds", "say"} <= set(found)
        assert found["seeds"].default >= 2
