"""Plug-ins by entry point and by file, and one clear line when there is none."""

from importlib.metadata import EntryPoint

import pytest

import attacks
from robust import registry

PLUGIN = """
from robust import Attack

limit = 3
def climb(rate=0.1): return ("climb", rate)
def crawl(): return "crawl"
def _hidden(): return None
"""


DECLARED = {
    "splitting": "attacks.splitting:splitting",
    "best_of_n": "attacks.best_of_n:best_of_n",
    "gone": "attacks.gone:gone",
}


@pytest.fixture(autouse=True)
def entry_points(monkeypatch):
    """Stand-ins for what an installed package declares."""

    def declared(group):
        if group != "robust.attacks":
            return []
        return [EntryPoint(name, value, group) for name, value in DECLARED.items()]

    monkeypatch.setattr(registry, "entry_points", declared)


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    return file


def test_entry_points_load():
    assert list(registry.names("attack")) == ["best_of_n", "gone", "splitting"]
    assert registry.names("task") == {}
    assert registry.find("attack", "best_of_n") is attacks.best_of_n


def test_unknown_names_give_the_nearest():
    with pytest.raises(
        registry.UnknownName,
        match=r"unknown attack 'bestofn'; did you mean best_of_n\? \(or name a file: ",
    ):
        registry.find("attack", "bestofn")
    with pytest.raises(registry.UnknownName, match="known: best_of_n, gone, splitting"):
        registry.find("attack", "zzz")
    with pytest.raises(
        registry.UnknownName, match="unknown task 'digits'; there are n"
    ):
        registry.find("task", "digits")


def test_an_entry_point_that_does_not_load_says_why():
    with pytest.raises(
        ValueError,
        match=r"attack 'gone' \(attacks.gone:gone\) does not load: ModuleNotFoundError",
    ):
        registry.find("attack", "gone")


def test_files_load(plugin):
    climb = registry.find("attack", f"{plugin}:climb")
    assert climb(0.5) == ("climb", 0.5)
    assert climb.__module__.startswith("robust_plugin_")
    assert registry.find("attack", f"{plugin}:climb") is climb  # run once


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{folder}/none.py:climb", "no file '.*none.py' for attack .*; check the path"),
        ("{folder}/mine.py", "write FILE.py:NAME"),
        ("{folder}/mine.py:", "write FILE.py:NAME"),
        ("{folder}/mine.py:clim", r"mine.py' has no 'clim'; it has climb, crawl"),
        ("{folder}/mine.py:limit", "mine.py:limit' is a int, not a function"),
    ],
)
def test_what_a_file_lacks_is_named(plugin, name, message):
    with pytest.raises(registry.UnknownName, match=message):
        registry.find("attack", name.format(folder=plugin.parent))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def climb(:", "does not run: SyntaxError: "),
        ("import nowhere_to_be_found", r"run: ModuleNotFoundError at broken.py:1: No"),
        ("raise RuntimeError('one\\ntwo')", r"run: RuntimeError at broken.py:1: one$"),
    ],
)
def test_a_file_that_does_not_run_says_why(tmp_path, text, message):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        registry.find("attack", f"{file}:climb")


def test_make_passes_what_is_wanted(tmp_path):
    file = tmp_path / "task.py"
    file.write_text(
        "def both(key, seeds=1): return key, seeds\n"
        "def none(): return 'none'\n"
        "def named(*, seeds): return seeds\n"
        "def needy(key, path, size): return path\n"
        "def rest(*parts, **options): return parts, options\n"
    )
    offered = {"key": 7, "seeds": 3}

    def make(name):
        return registry.make("task", f"{file}:{name}", **offered)

    assert make("both") == (7, 3)
    assert make("none") == "none"
    assert make("named") == 3
    assert make("rest") == ((), {})
    with pytest.raises(
        ValueError, match=r"wants path, size; give each a default \(only key, seeds is"
    ):
        make("needy")
    with pytest.raises(ValueError, match=r"wants key; .*\(only nothing is passed\)"):
        registry.make("task", f"{file}:both")
