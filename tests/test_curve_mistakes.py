"""`robust curve` on bad input: one line that says what to do, and exit code 64."""

from pathlib import Path

import pytest

from robust.cli import command

HEADER = "prompt,proxy,true\n"
GOOD = HEADER + "a,1,0\na,2,1\nb,3,1\nb,4,0\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = {
    "good.csv": GOOD,
    "text.csv": HEADER + "a,1,0\na,2,1\nb,high,1\nb,4,x\n",
    "late.jsonl": '{"proxy": 1, "true": 1}\n{"proxy": [2], "true": 1}\n',
    "broken.jsonl": '{"proxy": 1, "true": 1}\n\n{"proxy": 2, \n',
    "array.jsonl": '[{"proxy": 1, "true": 1}]\n',
    "empty.csv": "",
    "blank.jsonl": " \n\n",
    "header.csv": HEADER,
    "single.csv": HEADER + "a,1,0\nb,3,1\n",
    "one.csv": "proxy,true\n1,0\n",
    "few.csv": GOOD + "c,3,1\n",
    "flat.csv": HEADER + "a,0.1,0\na,0.1,1\nb,3,1\nb,3,0\n",
    "partly.csv": HEADER + "a,0.1,0\na,0.1,1\nb,3,1\nb,nan,0\nb,3,0\n",
    "nan.csv": HEADER + "a,1,0\na,nan,1\nb,3,1\nb,4,inf\n",
    "all.csv": HEADER + "a,nan,0\na,,1\n",
    "names.csv": "id,reward,correct\n1,2,3\n",
    "twice.csv": "prompt,proxy,proxy,true\na,1,2,3\n",
    "long.csv": GOOD + "b,1,2,3\n",
    "binary.csv": b"\x00\x01\x02\xff" * 99,
    "latin.csv": GOOD.encode() + b"\xe9,1,1\n",
    "text.parquet": GOOD,
    "scores.xlsx": b"PK",
    "plain": GOOD,
}
MISTAKES = {
    "missing file": (["no.csv"], "no file 'no.csv'; check the path"),
    "a folder": (["."], ". is a folder; name a file of scores in it"),
    "extension": (["scores.xlsx"], "ends in '.xlsx'; wanted .csv, .jsonl, .ndjson"),
    "no extension": (["plain"], "plain ends in 'plain'; wanted .csv, .jsonl"),
    "binary": (["binary.csv"], "is a binary file or not UTF-8; wanted comma-separated"),
    "not UTF-8": (
        ["latin.csv"],
        "is a binary file or not UTF-8; wanted comma-separate",
    ),
    "not Parquet": (["text.parquet"], "does not read as PARQUET: "),
    "empty": (["empty.csv"], "empty.csv is empty; wanted one row per scored answer"),
    "blank": (["blank.jsonl"], "blank.jsonl is empty; wanted one row per"),
    "header only": (["header.csv"], "header.csv holds no rows; wanted one row per"),
    "no proxy": (
        ["names.csv", "--true", "correct"],
        "names.csv has no column 'proxy'; it has 'reward', 'correct', 'id': name one "
        "with --proxy",
    ),
    "no true": (
        ["names.csv", "--proxy", "reward", "--true", "corect"],
        "no column 'corect'; it has 'correct', 'reward', 'id': name one with --true",
    ),
    "no group": (
        ["good.csv", "--group", "prompts"],
        "no column 'prompts'; it has 'prom",
    ),
    "twice": (["twice.csv"], "has two columns 'proxy'; rename one of them"),
    "text": (
        ["text.csv"],
        "text in 1 of 4 rows of column 'proxy', the first 'high' in row 3; wanted numb",
    ),
    "text in true": (
        ["text.csv", "--proxy", "true"],
        "column 'true', the first 'x' in",
    ),
    "prompts for scores": (["good.csv", "--proxy", "prompt"], "the first 'a' in row 1"),
    "lists": (["late.jsonl"], "text in 1 of 2 rows of column 'proxy', the first '[2]'"),
    "broken JSON": (
        ["broken.jsonl"],
        "has '{\"proxy\": 2,' in line 3; wanted one JSON",
    ),
    "a JSON array": (["array.jsonl"], "in line 1; wanted one JSON object a line: mend"),
    "a long row": (["long.csv"], "line 6 has 4 fields, the header 3; wanted comma-"),
    "single answers": (
        ["single.csv"],
        "every prompt has a single answer; wanted at le",
    ),
    "single row": (["one.csv"], "there is a single answer; wanted at least two"),
    "a single answer": (
        ["few.csv"],
        "1 of 3 prompts have a single answer, so the curve",
    ),
    "NaN": (
        ["nan.csv"],
        "2 of 4 rows where something is missing, NaN, infinite or beyond 1e+100 (1 in "
        "column 'proxy', 1 in column 'true'), the first in row 2; mend them, or leave "
        "them out with --on-nan drop",
    ),
    "all NaN": (["all.csv", "--on-nan", "drop"], "nothing is left, score the answers"),
    "constant proxy": (
        ["flat.csv"],
        "flat.csv has equal scores in column 'proxy' for all answers to a prompt, so "
        "there is nothing to choose by; wanted scores that differ: check that --proxy",
    ),
    "constant proxy, as JSON": (
        ["flat.csv", "--format", "json"],
        "equal scores in column 'proxy'",
    ),
    "constant proxy, once rows are left out": (
        ["partly.csv", "--on-nan", "drop"],
        "equal scores in column 'proxy'",
    ),
    "n too large": (
        ["good.csv", "--n", "1,3"],
        "--n holds 3; give whole numbers from 1",
    ),
    "n zero": (["good.csv", "--n", "0"], "--n holds 0; give whole numbers from 1 to 2"),
    "n negative": (
        ["good.csv", "--n=-1"],
        "--n holds -1; give whole numbers from 1 to",
    ),
    "n not whole": (
        ["good.csv", "--n", "1.5"],
        "--n is '1.5'; give whole numbers with",
    ),
    "n text": (
        ["good.csv", "--n", "1,many"],
        "--n is '1,many'; give whole numbers with",
    ),
    "format": (["good.csv", "--format", "xml"], "xml"),
    "on-nan": (["good.csv", "--on-nan", "keep"], "keep"),
    "plot to a folder": (
        ["good.csv", "--plot", "."],
        "--plot . is a folder; name a fi",
    ),
    "plot to nowhere": (
        ["good.csv", "--plot", "a/b.png"],
        "there is no folder 'a'; make",
    ),
    "plot of no kind": (
        ["good.csv", "--plot", "b.xyz"],
        "ends in '.xyz'; name a .png,",
    ),
    "plot below a file": (["good.csv", "--plot", "plain/b.png"], "no folder 'plain'"),
    "no file named": ([], "SCORES"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_line_and_64(mistake, folder, capfd):
    for name, content in FILES.items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(content)
    arguments, wanted = MISTAKES[mistake]
    assert command(["curve", *arguments]) == 64
    said = capfd.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("robust: ")
    assert wanted in said.err
    assert {path.name for path in folder.iterdir()} == {*FILES}


def test_an_unwritable_picture(capsys, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    Path("bank.csv").write_text(GOOD)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert command(["curve", "bank.csv", "--plot", "a.png"]) == 64
    assert "cannot write --plot a.png: No space left" in capsys.readouterr().err


def test_prompts_that_are_bytes(folder, capsys):
    import polars as pl

    bank = {"prompt": [b"\xff", b"\xff"], "proxy": [1, 2], "true": [1, 2]}
    pl.DataFrame(bank).write_parquet(folder / "bytes.parquet")
    assert command(["curve", "bytes.parquet"]) == 64
    said = capsys.readouterr().err
    assert "has Binary in column 'prompt'; wanted names of prompts" in said
    assert said.count("\n") == 1
