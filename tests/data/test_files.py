"""A file is there whole or not at all."""

from threading import Thread

import pytest

from macrid.data.files import replace_file


def test_a_file_is_written_and_written_again_with_nothing_left_beside_it(tmp_path):
    path = tmp_path / "note"
    for content in (b"first", b"", b"\0second"):
        replace_file(path, content)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, contents = tmp_path / "note", [bytes([letter]) * 200_000 for letter in b"ab"]
    replace_file(path, contents[0])
    writer = Thread(target=lambda: [replace_file(path, contents[n % 2]) for n in range(10)])
    writer.start()
    while writer.is_alive():
        assert path.read_bytes() in contents
    writer.join()


def test_a_write_that_fails_leaves_what_was_there_and_no_remains(tmp_path):
    occupied = tmp_path / "folder"
    (occupied / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        replace_file(occupied, b"content")
    assert list(tmp_path.iterdir()) == [occupied]


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "note", b"content")
    assert not list(tmp_path.iterdir())
