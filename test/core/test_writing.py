"""Files and folders that are whole or not there."""

from __future__ import annotations

import pytest

from clip2scene_core.writing import remove_unfinished, whole_file, whole_folder


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with whole_file(path) as temporary:
        temporary.write_text("first half")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "first half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(error, tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_can_be_removed(tmp_path):
    writer = whole_file(tmp_path / "file.txt")
    writer.__enter__().write_text("half of the n")  # as if it had been killed here
    others = {tmp_path / name for name in ("file.txt", "file.md", ".files.1.txt", ".lock")}
    for path in others:
        path.touch()
    assert set(tmp_path.iterdir()) > others
    remove_unfinished(tmp_path / "file.txt")
    assert set(tmp_path.iterdir()) == others


def test_a_folder_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder"
    with whole_folder(path) as temporary:
        (temporary / "file.txt").write_text("whole")
        assert not path.exists()
    assert (path / "file.txt").read_text() == "whole"
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "new" / "other") as temporary:
        (temporary / "file.txt").write_text("half")
        raise KeyboardInterrupt
    assert list(path.parent.iterdir()) == [path]
