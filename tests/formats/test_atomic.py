"""Writing results: whole or not at all."""

import errno
import os
import stat

import pytest

from stvg.errors import OutputError
from stvg.formats.atomic import atomic_path, check_writable

needs_permissions = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user"
)


def names(folder):
    """What is in a folder, hidden files included."""
    return sorted(os.listdir(folder))


def test_the_result_is_there_after_the_block(tmp_path):
    target = tmp_path / "result.mp4"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path  # same disk, so that renaming is one step
        assert temporary.suffix == ".mp4"  # by which video writers choose the container
        assert temporary.name.startswith(".stvg-partial-")
        temporary.write_text("new")
        assert not target.exists()
    assert names(tmp_path) == ["result.mp4"]
    assert target.read_text() == "new"


def test_an_earlier_result_is_replaced(tmp_path):
    target = tmp_path / "result"
    target.write_text("old")
    with atomic_path(str(target)) as temporary:  # a text path, no suffix
        temporary.write_text("new")
    assert target.read_text() == "new"


def half_write(target, error):
    """Write half a result and stop with an error."""
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_after_an_error_everything_is_as_before(tmp_path, error):
    target = tmp_path / "result.json"
    target.write_text("old")
    with pytest.raises(error):
        half_write(target, error)
    assert names(tmp_path) == ["result.json"]
    assert target.read_text() == "old"


def test_two_writers_do_not_share_a_temporary_name(tmp_path):
    target = tmp_path / "result.json"
    with atomic_path(target) as first, atomic_path(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # the outer block ends last
    assert names(tmp_path) == ["result.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "result.json") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.json").stat().st_mode) == mode


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (real / "result.json").write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to(real / "result.json")
    with atomic_path(link) as temporary:
        assert temporary.parent == real
        temporary.write_text("new")
    assert link.is_symlink()
    assert (real / "result.json").read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="no /dev/null")
def test_a_device_is_written_to_not_replaced():
    with atomic_path("/dev/null") as given:
        assert str(given) == "/dev/null"
        given.write_text("gone")
    check_writable("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def missing_folder(tmp_path):
    return tmp_path / "missing" / "result.json", "does not exist; create it"


def folder_of_that_name(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs", "there is a folder of that name"


def file_in_place_of_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    return tmp_path / "notes.txt" / "result.json", "is a file, not a folder"


def name_too_long(tmp_path):
    return tmp_path / ("x." + "y" * 254), "cannot write"


@pytest.mark.parametrize(
    "make", [missing_folder, folder_of_that_name, file_in_place_of_folder, name_too_long]
)
@pytest.mark.parametrize("use", [check_writable, lambda path: atomic_path(path).__enter__()])
def test_where_nothing_can_be_written_the_error_says_why(tmp_path, make, use):
    path, message = make(tmp_path)
    before = names(tmp_path)
    with pytest.raises(OutputError, match=message) as caught:
        use(path)
    assert str(path) in str(caught.value)  # the name as it was given
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == before


def test_an_unwritable_folder_is_named(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match="no permission to create files in the folder"):
        check_writable(tmp_path / "result.json")


@needs_permissions
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to create files in the folder"):
        check_writable(tmp_path / "result.json")
    tmp_path.chmod(0o700)


def test_a_write_protected_result_is_not_replaced(tmp_path, monkeypatch):
    target = tmp_path / "result.json"
    target.write_text("precious")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="write-protected"):
        check_writable(target)
    assert target.read_text() == "precious"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_while_writing_is_explained(tmp_path, code):
    with pytest.raises(OutputError, match=r"disk is full .* nothing half-written was left"):
        half_write(tmp_path / "result.json", OSError(code, "no room"))
    assert names(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_device_without_room_is_explained():
    with (
        pytest.raises(OutputError, match="cannot write /dev/full: the disk is full"),
        atomic_path("/dev/full") as given,
    ):
        given.write_text("x")
    assert os.path.exists("/dev/full")


def test_a_full_disk_at_the_start_is_explained(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match="disk is full"):
        check_writable(tmp_path / "result.json")


def test_check_writable_leaves_nothing(tmp_path):
    check_writable(tmp_path / "result.json")
    assert names(tmp_path) == []
    (tmp_path / "result.json").write_text("old")
    check_writable(tmp_path / "result.json")
    assert (tmp_path / "result.json").read_text() == "old"
