"""The README's examples are run."""

import doctest
import re
from pathlib import Path

import jax
import pytest

import attacks
from robust.registry import make
from robust.study import study

README = Path(__file__).parents[1] / "README.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_sessions_print_what_they_show():
    text = "\n".join(b for b in _blocks("python") if ">>>" in b)
    test = doctest.DocTestParser().get_doctest(text, {}, "README", "README.md", 0)
    results = doctest.DocTestRunner().run(test)
    assert results.attempted >= 8
    assert results.failed == 0


def test_bring_your_own_runs(tmp_path):
    (source,) = [b for b in _blocks("python") if b.startswith("# mine.py")]
    (tmp_path / "mine.py").write_text(source)
    task = make("task", f"{tmp_path}/mine.py:task")
    chosen = [attacks.splitting(8), attacks.gradient_ascent(0.1, steps=20)]
    found = study(task, chosen, key=jax.random.key(0), draws=8192, judged=512)
    assert [result.name for result in found.results] == ["splitting", "gradient_ascent"]


def test_no_placeholder_is_left():
    assert not re.search(
        r"\b(TIMES|TABLE|DOCTEST|CLASSIFIERS|TODO)\b", README.read_text()
    )


def test_plain_blocks_at_least_compile():
    for block in _blocks("python"):
        if ">>>" not in block:
            compile(block, "README.md", "exec")


@pytest.mark.parametrize(
    "name", re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text())
)
def test_links_lead_somewhere(name):
    assert (README.parent / name).exists()
