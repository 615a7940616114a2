"""What took long to make is made once, and again when anything about it changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from robust import cache, card, keep, kept, need
from robust.cards import card_of
from robust.cli import command


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "folder", lambda: tmp_path / "kept")
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "jax")
    return tmp_path / "kept"


class Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self, recipe):
        def make():
            self.calls += 1
            return {
                "w": jnp.arange(4.0) * recipe["scale"],
                "layers": [{"b": jnp.ones(2)}],
            }

        return keep("net", recipe, make)


def test_made_once_and_the_same_arrays_come_back():
    maker = Maker()
    first, again = maker({"scale": 2}), maker({"scale": 2})
    assert maker.calls == 1
    np.testing.assert_array_equal(first["w"], again["w"])
    np.testing.assert_array_equal(again["layers"][0]["b"], np.ones(2))
    assert again["w"].dtype == np.float32


def test_another_recipe_is_another_entry():
    maker = Maker()
    maker({"scale": 2})
    other = maker({"scale": 3})
    assert maker.calls == 2
    assert other["w"][1] == 3
    assert len(kept.entries()) == 2


def test_keys_and_arrays_are_part_of_a_recipe():
    maker = Maker()
    for seed in (0, 1, 1):
        maker({"scale": 1, "key": jax.random.key(seed), "sizes": np.array([1, 2])})
    assert maker.calls == 2


@pytest.mark.parametrize("damage", [b"", b"x" * 50])
def test_a_damaged_entry_is_made_again_with_a_notice(damage):
    maker = Maker()
    maker({"scale": 2})
    kept.entries()[0].path.write_bytes(damage)
    with pytest.warns(UserWarning, match="is damaged.*making net again"):
        again = maker({"scale": 2})
    assert again["w"][3] == 6
    maker({"scale": 2})
    assert maker.calls == 2


def test_a_bit_that_flips_in_an_array_is_noticed():
    maker = Maker()
    maker({"scale": 2})
    path = kept.entries()[0].path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="is damaged.*checksum"):
        maker({"scale": 2})
    assert maker.calls == 2


def test_entries_open_in_other_libraries():
    Maker()({"scale": 2})
    arrays = load_file(kept.entries()[0].path)
    assert set(arrays) == {"w", "layers/0/b"}
    np.testing.assert_array_equal(arrays["w"], 2 * np.arange(4.0))


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6)[::2],
        np.float32(3).reshape(()),
        np.ones((0, 3), bool),
        np.array([np.nan, -0.0, np.inf], np.float16),
    ],
)
def test_arrays_come_back_bit_for_bit(array):
    recipe = {"what": [str(array.dtype), array.shape]}
    keep("net", recipe, lambda: {"a": [array]})
    (again,) = keep("net", recipe, lambda: {"a": [array * 0]})["a"]
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "tree",
    [
        {"a/b": np.ones(1), "a": {"b": np.ones(2)}},
        {"words": np.array(["text"])},
        {1: np.ones(1)},
        (np.ones(1), np.ones(2)),
    ],
)
def test_what_would_not_come_back_the_same_is_not_kept(tree):
    with pytest.warns(UserWarning, match="cannot keep net"):
        again = keep("net", {}, lambda: tree)
    jax.tree.map(np.testing.assert_array_equal, again, tree)
    assert kept.entries() == []


def test_a_folder_that_cannot_be_written_loses_nothing(folder):
    folder.write_text("in the way")
    with pytest.warns(UserWarning, match="cannot keep net"):
        assert Maker()({"scale": 2})["w"][1] == 2


def test_the_command_shows_and_forgets(folder, capsys):
    Maker()({"scale": 2})
    (folder.parent / "jax").mkdir()
    program = folder.parent / "jax" / "jit_f-cache"
    program.write_bytes(bytes(2**20))
    assert command(["cache"]) == 0
    said = capsys.readouterr().out
    assert "net" in said
    assert "1.0 MiB  1 compiled programs" in said
    assert command(["cache", "--clear"]) == 0
    assert "forgotten" in capsys.readouterr().out
    assert kept.entries() == []
    assert not program.exists()


def test_a_card_is_read_without_making_the_task():
    @card(extra="text", seconds=5, memory_mb=300, suites=("quick",))
    def task():
        raise AssertionError

    assert card_of(task).suites == ("quick",)
    assert card_of(len).extra is None


def test_a_missing_package_names_its_extra():
    with pytest.raises(ValueError, match=r"task 'words' needs no_such.*\[text\]"):
        need("no_such.part", extra="text", task="words")
    assert need("json", extra="text", task="words").dumps([]) == "[]"
