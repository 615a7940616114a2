"""`robust transcripts` on bad input: one line that says what to do, exit code 64."""

import json

import pytest

from robust.cli import command


def rows(*changes):
    """Rows of chains, each with its change; a None takes the field away."""
    good = {"question": "1+1?", "chain": "1 and 1 make 2", "answer": "2"}
    merged = [good | change for change in changes]
    kept = [{k: v for k, v in row.items() if v is not None} for row in merged]
    return "".join(json.dumps(row) + "\n" for row in kept)


GOOD = rows({"id": "a"}, {"id": "b", "question": "2+2?", "answer": "4"})
AFTER = {"of": "a", "intervention": "early", "fraction": 0, "answer": "2"}


def after(**change):
    row = {k: v for k, v in (AFTER | change).items() if v != "gone"}
    return json.dumps(row) + "\n"


FILES = {
    "good.jsonl": GOOD,
    "binary.jsonl": b"\x00\x01\xff" * 99,
    "late.jsonl": GOOD.encode() + b"#" * 9000 + b"\xe9\n",
    "empty.jsonl": "",
    "blank.jsonl": " \n\n",
    "broken.jsonl": GOOD + "\n{'question': 1}\n",
    "array.jsonl": "[1, 2]\n",
    "nochain.jsonl": rows({}, {"chain": None, "cot": "x"}),
    "null.jsonl": GOOD + '{"question": "a", "chain": "b", "answer": null}\n',
    "number.jsonl": rows({"chain": 3}),
    "list.jsonl": rows({"chain": ["a", "b"]}),
    "twice.jsonl": rows({"id": "a"}, {"id": 1}, {"id": "a"}),
    "reward.jsonl": rows({"reward": 1}, {"reward": "high"}),
    "nan.jsonl": rows({"reward": 1}, {"reward": float("nan")}, {"reward": 1e999}),
    "step.jsonl": rows({"step": 1}, {}, {}),
    "seed.jsonl": rows({"seed": 1}, {}),
    "answers.jsonl": after() + after(intervention="swap", donor_answer="4"),
    "stranger.jsonl": after() + after(of="z") + after(of="y"),
    "unknown.jsonl": after(intervention="erly"),
    "donor.jsonl": after(intervention="swap"),
    "fraction.jsonl": after(fraction=1.5),
    "noanswer.jsonl": after(answer="gone"),
    "reader.py": "def few(chains):\n    return []\n\ndef bad(chains):\n    1 / 0\n"
    "def text(chains):\n    return 'abc'\n",
    "taken.reader.json": "[]",
    "taken.jsonl": GOOD,
}
MISTAKES = {
    "missing file": (["no.jsonl"], "no file 'no.jsonl'; check the path"),
    "a folder": (["."], ". is a folder; name a .jsonl file in it"),
    "binary": (["binary.jsonl"], "is a binary file or not UTF-8; wanted UTF-8 text"),
    "binary below": (["late.jsonl"], "in line 3; wanted one JSON object a line"),
    "empty": (["empty.jsonl"], "empty.jsonl is empty; wanted UTF-8 text with one"),
    "blank": (["blank.jsonl"], "blank.jsonl is empty; wanted"),
    "not JSON": (
        ["broken.jsonl"],
        "has \"{'question': 1}\" in line 4; wanted one JSON",
    ),
    "a JSON array": (["array.jsonl"], "has '[1, 2]' in line 1; wanted one JSON object"),
    "a missing field": (
        ["nochain.jsonl"],
        "has no 'chain' in line 2; it has 'question', 'answer', 'cot': wanted question",
    ),
    "a null answer": (["null.jsonl"], "has no 'answer' in line 3; it has"),
    "a number as chain": (["number.jsonl"], "has 3 for 'chain' in line 1; wanted text"),
    "a list as chain": (
        ["list.jsonl"],
        "has a list for 'chain' in line 1; wanted text",
    ),
    "ids twice": (["twice.jsonl"], "has the id 'a' in line 1 and in line 3; give each"),
    "reward in words": (
        ["reward.jsonl"],
        "has 'high' for 'reward' in line 2; wanted a",
    ),
    "NaN rewards": (
        ["nan.jsonl"],
        "has NaN or infinity for 'reward' in 2 of 3 rows, the first in line 2; mend",
    ),
    "steps of some": (["step.jsonl"], "no 'step' in 2 of 3 rows, the first in line 2"),
    "seeds of some": (["seed.jsonl"], "no 'seed' in 1 of 2 rows, the first in line 2"),
    "no seeds": (["good.jsonl", "--over", "seed"], "good.jsonl has no 'seed'; --over"),
    "answers as chains": (["answers.jsonl"], "holds 2 rows after interventions and no"),
    "answers of others": (
        ["good.jsonl", "--answers", "stranger.jsonl"],
        "2 of 3 rows answer no chain that was given, the first is of 'z' in line 2;",
    ),
    "unknown intervention": (
        ["good.jsonl", "--answers", "unknown.jsonl"],
        "the intervention 'erly' in line 1; known: early, filler, mistake, swap, para",
    ),
    "a swap without donor": (
        ["good.jsonl", "--answers", "donor.jsonl"],
        "has no 'donor_answer' in line 1; a swap takes the answer that",
    ),
    "a fraction beyond 1": (
        ["good.jsonl", "--answers", "fraction.jsonl"],
        "has the fraction 1.5 in line 1; wanted a number from 0 to 1",
    ),
    "an answer left out": (
        ["good.jsonl", "--answers", "noanswer.jsonl"],
        "has no 'answer' in line 1; it has 'of', 'intervention', 'fraction': give back",
    ),
    "chains as answers": (
        ["good.jsonl", "--answers", "good.jsonl"],
        "good.jsonl has no 'of' in line 1; it has",
    ),
    "no answers": (["good.jsonl", "--answers", "no.jsonl"], "no file 'no.jsonl'"),
    "plan there": (
        ["good.jsonl", "--plan", "good.jsonl"],
        "good.jsonl is there already",
    ),
    "plan nowhere": (["good.jsonl", "--plan", "a/p.jsonl"], "cannot write --plan a/p"),
    "plan and answers": (
        ["good.jsonl", "--plan", "p.jsonl", "--answers", "answers.jsonl"],
        "--plan only writes a plan; leave out --answers",
    ),
    "fractions": (
        ["good.jsonl", "--plan", "p.jsonl", "--fractions", "0,2"],
        "--fractions is '0,2'; give numbers from 0 to 1",
    ),
    "fractions in words": (
        ["good.jsonl", "--plan", "p.jsonl", "--fractions", "half"],
        "--fractions is 'half'; give numbers",
    ),
    "no such reader": (
        ["good.jsonl", "--reader", "reader.py:fw"],
        "'reader.py' has no 'fw'; it has few",
    ),
    "no reader file": (
        ["good.jsonl", "--reader", "n.py:f"],
        "no file 'n.py' for reader",
    ),
    "a reader by name": (
        ["good.jsonl", "--reader", "claude"],
        "--reader is 'claude'; give file.py:function or an http(s) address",
    ),
    "a reader of few": (
        ["good.jsonl", "--reader", "reader.py:few"],
        "the reader reader.py:few gave 0 answers to 2 chains; wanted one for each",
    ),
    "a reader of text": (
        ["good.jsonl", "--reader", "reader.py:text"],
        "the reader reader.py:text gave a str; wanted a list",
    ),
    "a reader that fails": (
        ["good.jsonl", "--reader", "reader.py:bad"],
        "the reader reader.py:bad failed: ZeroDivisionError at reader.py:5: division",
    ),
    "another file in its place": (
        ["taken.jsonl", "--reader", "reader.py:few"],
        "taken.reader.json is not a file of a reader's answers; move it away",
    ),
    "batch": (
        ["good.jsonl", "--batch", "0"],
        "--batch is 0; give a whole number above",
    ),
    "timeout": (["good.jsonl", "--timeout", "0"], "--timeout is 0; give seconds above"),
    "plot of one step": (
        ["good.jsonl", "--plot", "a.png"],
        "--plot takes at least two",
    ),
    "plot of no kind": (
        ["good.jsonl", "--plot", "b.xyz"],
        "ends in '.xyz'; name a .png",
    ),
    "plot to a folder": (["good.jsonl", "--plot", "."], "--plot . is a folder; name a"),
    "plot to nowhere": (["good.jsonl", "--plot", "a/b.png"], "there is no folder 'a'"),
    "no file named": ([], "FILE"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_line_and_64(mistake, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
    arguments, wanted = MISTAKES[mistake]
    assert command(["transcripts", *arguments]) == 64
    said = capfd.readouterr()
    assert said.out == ""
    progress = [line for line in said.err.splitlines() if "asking the reader" in line]
    (line,) = [line for line in said.err.splitlines() if line not in progress]
    assert line.startswith("robust: ")
    assert wanted in line
    made = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert made == {*FILES}
