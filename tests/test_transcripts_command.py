"""`robust transcripts` as a user types it: drift, plans, answers, readers, formats."""

import contextlib
import gzip
import http.server
import json
import random
import threading
from pathlib import Path

import numpy as np
import pytest

from robust.adapters import reader as readers
from robust.adapters.transcripts import INTERVENTIONS, read_transcripts
from robust.chain_study import study
from robust.cli import command
from robust.show.transcripts_summary import sentences

LEADS = ["First", "So", "Now", "To begin"]
SAY = {
    0: "{lead} we add {a} and {b}, which gives {x}.\nTimes {c} that is {y}.",
    100: "{a}&{b}>{x}\n*{c}>{y}",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chains(steps=(0, 100), questions=30, say=SAY, **more):
    """Sums whose writer has words at step 0 and signs at step 100."""
    rows = []
    for step in steps:
        for q in range(questions):
            given, own = random.Random(q), random.Random(1000 * step + q)
            a, b, c = (given.randint(10, 99) for _ in range(3))
            words = {
                "a": a, "b": b, "c": c, "x": a + b, "y": (a + b) * c,
                "lead": own.choice(LEADS),
            }  # fmt: skip
            rows.append(
                {
                    "id": f"{step}.{q}", "question": f"({a}+{b})*{c}?", "step": step,
                    "chain": say[step].format(**words), "answer": words["y"], **more,
                }
            )  # fmt: skip
    return rows


def save(rows, path="chains.jsonl"):
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def answer(capsys, *arguments):
    """What --format json says."""
    assert command(["transcripts", *map(str, arguments), "--format", "json"]) == 0
    said = capsys.readouterr()
    return json.loads(said.out)


def answers_of(model, path="answers.jsonl"):
    """The plan, answered by `model(row, own answer)`."""
    assert command(["transcripts", "chains.jsonl", "--plan", "plan.jsonl"]) == 0
    own = {row["id"]: str(row["answer"]) for row in load("chains.jsonl")}
    rows = [{**r, "answer": model(r, own[r["of"]])} for r in load("plan.jsonl")]
    return save(rows, path)


def test_values_by_hand(capsys):
    """Two questions; the first has two chains, which count as one unit."""
    rows = [
        {"question": "a", "chain": "so 7", "answer": 7, "truth": "7.0", "reward": 1},
        {"question": "a", "chain": "it is 8", "answer": 8, "truth": 7, "reward": None},
        {"question": "b", "chain": "x", "answer": "yes", "truth": "Yes ", "reward": 0},
    ]
    said = answer(capsys, save(rows))
    assert said["schema"] == 1
    (step,) = said["steps"]
    assert (step["step"], step["chains"], step["units"]) == (None, 3, 2)
    assert step["accuracy"]["mean"] == (0.5 + 1) / 2
    assert step["reward"]["mean"] == 0.5  # the missing one is left out
    assert step["characters"]["mean"] == ((4 + 7) / 2 + 1) / 2
    assert step["words"]["mean"] == ((2 + 3) / 2 + 1) / 2
    assert step["copier"]["mean"] == 0.5
    half = 12.7062 * np.std([0.75 - 0.25, 0.75 + 0.25], ddof=1) / np.sqrt(2)
    assert step["accuracy"]["high"] == pytest.approx(0.75 + half, rel=1e-4)
    assert "no change of wording to measure" in said["summary"][0]


def test_new_wording_is_drift(capsys):
    said = answer(capsys, save(chains()))
    first, last = said["steps"]
    assert said["summary"][0].startswith("from step 0 to 100 the wording drifted (bits")
    assert "chains became shorter" in said["summary"][0]
    assert last["bits_change"]["low"] > 0.5
    assert last["new_words_change"]["low"] > 0
    assert last["divergence"]["low"] > last["divergence_null"]["high"] + 0.3
    assert "bits_change" not in first
    assert first["bits"]["mean"] == first["bits_null"]["mean"]
    np.testing.assert_allclose(
        last["bits_change"]["mean"], last["bits"]["mean"] - first["bits"]["mean"]
    )


def test_the_same_writer_at_two_steps_does_not_drift(capsys):
    """Drift is claimed of about 6 % of 20 draws: 5 are 3.5 standard errors above."""
    claims, apart = 0, []
    for draw in range(20):
        rows = chains(say={0: SAY[0], 100: SAY[0]}, steps=(0, 100))
        lead = random.Random(draw)
        for row in rows:
            _, rest = row["chain"].split(" we ")
            row["chain"] = f"{lead.choice(LEADS)} we {rest}"
        transcripts, _ = read_transcripts(Path(save(rows)))
        steps = study(transcripts, [], None)
        claims += "the wording drifted" in sentences(steps)[0]
        last = steps[1].values
        apart.append(last["divergence"].mean - last["divergence_null"].mean)
        assert last["divergence_null"].mean > 0.02  # what would pass for drift
    assert claims <= 5
    assert abs(np.mean(apart)) < 0.01


def test_nothing_is_claimed_that_was_not_measured(capsys):
    said = answer(capsys, save(chains()))
    text = " ".join([*said["summary"], *said["notes"]])
    assert "drift of wording is not a private code" in text
    assert "not measured: whether anyone can read the chains (--reader) and" in text
    assert "legibility is not measured: no --reader was given" in text
    assert not any("reader" in step for step in said["steps"])
    assert all(step["joint"] is None for step in said["steps"])


EQUATIONS = {
    0: "{lead}, {a} + {b} = {x}.\nTimes {c} that is {x} * {c} = {y}.",
    50: "{lead}, {a} + {b} = {x}.\nThat is {x} * {c} = 0.",
    100: SAY[100],
}


def test_equations_by_step(capsys):
    """Two true linked equations; one of them false; another notation."""
    save(chains(steps=(0, 50, 100), say=EQUATIONS))
    said = answer(capsys, "chains.jsonl")
    first, middle, last = said["steps"]
    for step, wanted in ((first, (2, 1, 1)), (middle, (2, 0.5, 1))):
        names = ("steps_count", "steps_true", "steps_linked")
        assert tuple(step[name]["mean"] for name in names) == wanted
    assert last["steps_count"]["mean"] == 0
    assert "steps_true" not in last
    (note,) = [note for note in said["notes"] if "equations" in note]
    assert "Not checked: words, other notations" in note
    assert command(["transcripts", "chains.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("equations in the chains")
    assert lines[at + 4].split() == ["100", "0.00", "-", "-"]


def test_intervals_of_equations_are_over_questions(capsys):
    rows = chains(steps=(0,), say=EQUATIONS)
    for row in rows[:15]:
        row["chain"] = f"{row['chain']} 1+1=3 2+2=5"
    step = answer(capsys, save(rows))["steps"][0]
    half = 2.0452 * np.std([0.5, 1] * 15, ddof=1) / np.sqrt(30)
    assert step["steps_true"]["mean"] == 0.75
    assert step["steps_true"]["high"] == pytest.approx(0.75 + half, rel=1e-4)


def test_without_equations_nothing_is_said_of_them(capsys):
    said = answer(capsys, save(chains()))
    assert not any(name.startswith("steps_") for step in said["steps"] for name in step)
    assert not any("equations" in note for note in said["notes"])


def test_sums_of_a_modulus(capsys):
    save([{"question": "a", "chain": "3+2=5;5+4=9;9+4=3;", "answer": 3}])
    true = [
        answer(capsys, "chains.jsonl", *more)["steps"][0]["steps_true"]["mean"]
        for more in ((), ("--modulus", 10))
    ]
    assert true == [2 / 3, 1]
    assert command(["transcripts", "chains.jsonl", "--modulus", "1"]) == 64
    assert "--modulus is 1; give a whole number above one" in capsys.readouterr().err


def test_other_questions_at_each_step(capsys):
    rows = chains()
    for row in rows:
        row["question"] += str(row["step"])
    said = answer(capsys, save(rows))
    assert "no question is there at both" in said["summary"][0]
    assert any("what was asked is part of the drift" in note for note in said["notes"])
    assert "bits_change" not in said["steps"][1]


def test_intervals_over_seeds(capsys):
    rows = [row | {"seed": i % 3} for i, row in enumerate(chains())]
    said = answer(capsys, save(rows), "--over", "seed")
    assert [step["units"] for step in said["steps"]] == [3, 3]
    assert "interval over 3 seeds" in said["notes"][0]


def test_a_plan_holds_every_intervention(capsys):
    rows = chains(steps=(0,))
    rows[3] |= {"chain": "no figures here"}
    save(rows)
    arguments = ["transcripts", "chains.jsonl", "--fractions", "0.5,0", "--plan"]
    assert command([*arguments, "plan.jsonl"]) == 0
    assert "1 chains have no number and get no mistake" in capsys.readouterr().out
    plan = load("plan.jsonl")
    assert len(plan) == 30 * 6 - 1
    assert {row["intervention"] for row in plan} == {*INTERVENTIONS}
    assert len({row["id"] for row in plan}) == len(plan)
    by_id = {row["id"]: row for row in rows}
    for row in plan:
        own, kind = by_id[row["of"]], row["intervention"]
        assert row["answer"] is None
        assert row["question"] == own["question"]
        if kind == "early":
            assert own["chain"].startswith(row["chain"])
            if own is not rows[3]:  # of two steps, 0 and a half are exact
                assert row["kept"] == row["fraction"]
        elif kind == "swap":
            donor = by_id[row["donor"]]
            assert donor["question"] != own["question"]
            assert donor["answer"] != own["answer"]
            assert row["chain"] == donor["chain"]
            assert row["donor_answer"] == str(donor["answer"])
        elif kind == "mistake":
            differs = [a != b for a, b in zip(row["chain"], own["chain"], strict=True)]
            assert sum(differs) == 1
        elif kind == "paraphrase":
            assert row["chain"] == own["chain"]
            assert "other words" in row["ask"]
    assert command([*arguments, "same.jsonl"]) == 0
    assert command([*arguments, "other.jsonl", "--key", "1"]) == 0
    texts = [Path(f"{n}.jsonl").read_text() for n in ("plan", "same", "other")]
    assert texts[0] == texts[1] != texts[2]


def test_donors_are_of_the_same_step_where_there_are_any(capsys):
    rows = chains()
    for row in rows[30:]:
        row["answer"] = "42"  # so that no donor of step 100 can tell
    save(rows)
    said = answer(capsys, "chains.jsonl", "--plan", "plan.jsonl")
    assert (said["without_donor"], said["donors_alike"]) == (0, 0)
    swaps = [row for row in load("plan.jsonl") if row["intervention"] == "swap"]
    assert {row["donor"].split(".")[0] for row in swaps} == {"0"}


def test_swaps_that_cannot_tell_are_counted(capsys):
    said = answer(
        capsys,
        save([row | {"answer": "42"} for row in chains()]),
        "--plan",
        "plan.jsonl",
    )
    assert said["donors_alike"] == 60
    one = [row | {"question": "one"} for row in chains()]
    said = answer(capsys, save(one), "--plan", "other.jsonl")
    assert said["without_donor"] == 60


def uses(row, own):
    """Needs the whole chain, and follows whatever chain is there."""
    kind = row["intervention"]
    if kind in ("early", "filler"):
        return "?"
    return row["donor_answer"] if kind == "swap" else own


def ignores(row, own):
    return own


def by_heart(row, own):
    """Knows the answer, and follows a chain that is there."""
    return row["donor_answer"] if row["intervention"] == "swap" else own


MODELS = {
    uses: ("used", "none", 1 - 1 / 6, 1),
    ignores: ("ignored", "none", 0, 0),
    by_heart: ("undecided", "not_needed", 0, 1),
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_models_get_their_reading(model, capsys):
    """Curve 0, 0, 0, 1 at 0, .33, .67, 1: AOC 1 - .33/2."""
    reading, reason, aoc, follow = MODELS[model]
    save(chains(questions=60))
    path = answers_of(model)
    capsys.readouterr()
    said = answer(capsys, "chains.jsonl", "--answers", path)
    for step in said["steps"]:
        assert step["joint"]["reading"] == reading
        assert step["joint"]["reason"] == reason
        np.testing.assert_allclose(
            step["aoc"]["mean"], aoc if aoc == 0 else 1 - 0.33 / 2
        )
        assert step["swap_follow"]["mean"] == follow
        assert step["missing"] == {}
    assert sum(reading in line for line in said["summary"]) >= 2
    inside = load("chains.jsonl") + load(path)  # the answers may be in the same file
    assert answer(capsys, save(inside, "all.jsonl"))["steps"] == said["steps"]


def test_two_answers_to_choose_from_are_corrected_for(capsys):
    """A coin without the chain agrees half of the time; the corrected AOC does not."""
    rows = chains(steps=(0,), questions=200)
    for i, row in enumerate(rows):
        row["answer"] = "yn"[i % 2]
    save(rows)
    path = answers_of(lambda row, own: "yn"[random.Random(row["id"]).random() < 0.5])
    capsys.readouterr()
    (step,) = answer(capsys, "chains.jsonl", "--answers", path)["steps"]
    error = np.sqrt(0.25 / 200)
    assert abs(step["same_answer"]["0"]["mean"] - 0.5) < 5 * error
    assert abs(step["empty_chance"]["mean"] - 0.5) < 0.01
    assert abs(step["aoc_corrected"]["mean"] - 2 * step["aoc"]["mean"]) < 0.01


def test_missing_answers_are_counted_never_guessed(capsys):
    save(chains(steps=(0,)))
    rows = load(answers_of(uses))
    rows = [
        row | {"answer": None} if row["id"] == "0.1/early/0" else row
        for row in rows
        if row["id"] not in ("0.2/early/0", "0.3/swap")
    ]
    capsys.readouterr()
    said = answer(capsys, "chains.jsonl", "--answers", save(rows, "some.jsonl"))
    assert said["steps"][0]["missing"] == {"early at 0": 2, "swap": 1}
    assert "missing and left out: early at 0 2, swap 1" in " ".join(said["notes"])


def test_resampling_noise_is_seen_at_fraction_1(capsys):
    """A model that answers at random is not one that needs its chain."""
    save(chains(steps=(0,), questions=60))
    plan = ["transcripts", "chains.jsonl", "--plan", "plan.jsonl", "--fractions", "0,1"]
    assert command(plan) == 0
    rows = [
        r | {"answer": random.Random(r["id"]).choice("ab")} for r in load("plan.jsonl")
    ]
    capsys.readouterr()
    said = answer(capsys, "chains.jsonl", "--answers", save(rows, "a.jsonl"))
    step = said["steps"][0]
    assert step["aoc"]["mean"] == 1  # AOC alone would say that all is needed
    assert step["joint"]["needed"][0] == 0
    assert step["joint"]["reading"] == "ignored"


READER = """
calls = []
def last(chains):
    calls.append(len(chains))
    with open("calls", "a") as file:
        file.write(f"{len(chains)}\\n")
    return [chain.split()[-1].rstrip(".") for chain in chains]
"""


def test_a_reader_in_a_file_is_asked_once(capsys):
    """It copies the last word: reads all with numbers shown, none with them hidden."""
    Path("mine.py").write_text(READER)
    rows = chains(steps=(0,))
    save([*rows, rows[0] | {"id": "again"}])
    arguments = ("chains.jsonl", "--reader", "mine.py:last", "--batch", "25")
    step = answer(capsys, *arguments)["steps"][0]
    assert step["reader"]["mean"] == 1
    assert step["reader_hidden"]["mean"] == 0
    calls = [int(n) for n in Path("calls").read_text().split()]
    assert calls == [25, 25, 10]  # 30 chains, and the same with the number hidden
    assert answer(capsys, *arguments)["steps"][0] == step
    assert len(Path("calls").read_text().split()) == 3
    assert len(json.loads(Path("chains.reader.json").read_text())) == 60
    Path("mine.py").write_text(READER.replace("[-1]", "[0]"))  # another reader now
    assert answer(capsys, *arguments)["steps"][0]["reader"]["mean"] == 0


def test_what_was_read_before_a_failure_is_kept(capsys):
    Path("mine.py").write_text(
        READER.replace("    calls.app", "    assert len(calls) < 2\n    calls.app")
    )
    save(chains(steps=(0,)))
    arguments = ["transcripts", "chains.jsonl", "--reader", "mine.py:last"]
    assert command([*arguments, "--batch", "20"]) == 64
    assert "the reader mine.py:last failed: Assert" in capsys.readouterr().err
    assert len(json.loads(Path("chains.reader.json").read_text())) == 40


@contextlib.contextmanager
def endpoint(replies):
    """A server that replies `(status, chains -> body)` in turn, the last for good."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, reply = replies[min(len(requests), len(replies) - 1)]
            requests.append(body)
            data = json.dumps(reply(body["chains"])).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/read", requests
        finally:
            server.shutdown()
            thread.join()


def last_words(chains):
    return {"answers": [chain.split()[-1].rstrip(".") for chain in chains]}


def test_an_endpoint_that_fails_once_is_asked_again(capsys):
    pytest.importorskip("requests")
    save(chains(steps=(0,), questions=4))
    with endpoint([(500, lambda chains: {}), (200, last_words)]) as (url, requests):
        said = answer(capsys, "chains.jsonl", "--reader", url, "--batch", "6")
    assert said["steps"][0]["reader"]["mean"] == 1
    assert [len(request["chains"]) for request in requests] == [6, 6, 2]
    assert requests[0] == requests[1]
    assert not any("question" in request for request in requests)


@pytest.mark.parametrize(
    ("status", "reply", "wanted"),
    [
        (404, lambda chains: {"no": 1}, "answers 404 Not Found: '{\"no\": 1}'; wanted"),
        (503, lambda chains: {}, "answers 503 Service Unavailable"),
        (
            200,
            lambda chains: [1],
            "answers '[1]'; wanted {\"answers\": [...]} with one",
        ),
        (200, lambda chains: {"answers": ["a"]}, "gave 1 answers to 8 chains; wanted"),
        (200, lambda chains: {"answers": "a"}, "gave a str; wanted a list"),
    ],
)
def test_an_endpoint_that_fails_for_good(status, reply, wanted, capsys, monkeypatch):
    pytest.importorskip("requests")
    monkeypatch.setattr(readers, "BACKOFF", 0)
    save(chains(steps=(0,), questions=4))
    with endpoint([(status, reply)]) as (url, requests):
        assert command(["transcripts", "chains.jsonl", "--reader", url]) == 64
    said = capsys.readouterr()
    assert wanted in said.err
    assert said.out == ""
    assert len(requests) == (1 + readers.RETRIES if status == 503 else 1)


def test_nobody_at_the_address(capsys, monkeypatch):
    pytest.importorskip("requests")
    monkeypatch.setattr(readers, "BACKOFF", 0)
    save(chains(steps=(0,), questions=4))
    with endpoint([(200, last_words)]) as (url, _):
        pass
    assert command(["transcripts", "chains.jsonl", "--reader", url]) == 64
    said = capsys.readouterr().err
    assert f"the reader {url} does not answer (" in said
    assert "refused" in said
    assert "0x" not in said


def test_without_the_package_for_http(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "requests", None)
    save(chains(steps=(0,)))
    assert command(["transcripts", "chains.jsonl", "--reader", "http://a"]) == 64
    assert "pip install 'robust-to-optimization[http]'" in capsys.readouterr().err


def test_a_monitor_of_wrong_hints(capsys):
    """Hints are wrong and half followed; the monitor knows those of even questions."""
    rows = chains(steps=(0,), questions=40)
    for q, row in enumerate(rows):
        follows = q < 20
        row |= {
            "truth": row["answer"],
            "hint": "0",
            "monitor": float(follows and q % 2),
        }
        row["answer"] = "0" if follows else row["answer"]
    step = answer(capsys, save(rows))["steps"][0]
    assert step["hint_followed"]["mean"] == 0.5
    assert step["accuracy"]["mean"] == 0.5
    ties = 0.5 * 0.01  # of those not seen, as many as of the good are flagged
    np.testing.assert_allclose(step["monitor_recall"]["mean"], 0.5 + ties)
    np.testing.assert_allclose(step["monitor_auroc"]["mean"], 0.5 + 0.5 / 2)


def test_table_markdown_and_picture(capsys):
    save(chains())
    path = answers_of(uses)
    capsys.readouterr()
    arguments = ["transcripts", "chains.jsonl", "--answers", path]
    assert command([*arguments, "--plot", "steps.png"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("from step 0 to 100 the wording drifted")
    table = said[said.index("\nthe chains\n") : said.index("±: half of")]
    assert max(map(len, table.splitlines())) <= 80
    lines = said.splitlines()
    at = lines.index("how much answers rest on the chain")
    assert lines[at + 2].split()[:4] == ["0", "0.84", "0.84", "1.00"]
    assert "step 0: the chain is used: answers change without the chain and" in said
    assert Path("steps.png").read_bytes()[:4] == b"\x89PNG"
    assert command([*arguments, "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("**from step 0 to 100")
    assert "| step | AOC | AOC, less chance | swap followed (chance) |\n|---:|" in said


def test_packed_files_and_marks_of_byte_order(capsys):
    save(chains())
    plain = answer(capsys, "chains.jsonl")
    data = Path("chains.jsonl").read_bytes()
    Path("packed.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + data + b"\n\n"))
    assert answer(capsys, "packed.jsonl.gz") == plain
