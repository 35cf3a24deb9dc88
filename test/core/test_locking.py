"""One writer at a time, and none too many: a lock does not outlive its process."""

from __future__ import annotations

import os
import signal

import pytest

from clip2scene_core.errors import DataError
from clip2scene_core.locking import only_writer


def test_a_second_writer_is_refused_and_told_who_is_first(tmp_path):
    expected = f"process {os.getpid()} is writing to {tmp_path}; wait for its end, or name another folder"
    with only_writer(tmp_path), pytest.raises(DataError, match=expected), only_writer(tmp_path):
        pytest.fail("two at once")


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_the_next_one_may_write_whatever_ended_the_first(tmp_path, error):
    def write():
        with only_writer(tmp_path / "new"):
            if error:
                raise error

    for _ in range(2):
        if error:
            with pytest.raises(error):
                write()
        else:
            write()
    assert [path.read_bytes() for path in (tmp_path / "new").iterdir()] == [b""]


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    if not (child := os.fork()):
        try:
            with only_writer(tmp_path):
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert (tmp_path / ".lock").read_text() == str(child)
    with only_writer(tmp_path):
        pass


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"cannot write to .*file.*; name another folder"),
        only_writer(tmp_path / "file"),
    ):
        pytest.fail("it is a file")
