"""Writing a result: it appears whole or not at all.

A result is written under a temporary name in the folder it belongs to and renamed when it is
complete; whatever goes wrong before that (an error, a full disk, Ctrl-C) leaves an earlier result
untouched and nothing half-written behind. Only a killed process can leave the temporary file,
whose name starts with ``.stvg-partial-``.

Used for every kind of result, videos too: the temporary name keeps the suffix by which writers
choose a container. Append-only logs are not written this way; see
:mod:`stvg.formats.predictions_jsonl`.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stvg.errors import OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary file to write to; it becomes ``path`` when the block ends without error.

    An existing file is replaced in one step; a symbolic link keeps pointing where it did and its
    target is replaced. A device or a pipe (``/dev/stdout``) cannot be renamed over and is given
    as it is. Permissions of a new file follow the umask, as for any file.

    Args:
        path: Where the result belongs. Its folder must exist.

    Yields:
        An existing, empty file in the same folder with the same suffix, to be opened by name.

    Raises:
        OutputError: If the folder does not exist or is not writable, ``path`` is a folder or is
            write-protected, or the disk is full (also while the block writes).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_path(folder / "result.txt") as temporary:
        ...     _ = temporary.write_text("done")
        >>> [(file.name, file.read_text()) for file in folder.iterdir()]
        [('result.txt', 'done')]
    """
    target = Path(path)
    is_special = _is_special(target)
    if not is_special:
        target = _followed(target)
    temporary = target if is_special else _create_beside(target)
    try:
        yield temporary
        if not is_special:
            _sync(temporary)
            os.replace(temporary, target)
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(_full_message(target)) from error
        raise
    finally:
        if not is_special:
            temporary.unlink(missing_ok=True)  # gone already when it was renamed


def check_writable(path: str | Path) -> None:
    """Make sure that a result can be written to ``path``, before the work that makes it.

    Tries it with an empty temporary file, because permission bits do not tell the truth on every
    file system.

    Args:
        path: Where the result will belong.

    Raises:
        OutputError: As :func:`atomic_path`.

    Example:
        >>> check_writable("missing/folder/result.json")
        Traceback (most recent call last):
        ...
        stvg.errors.OutputError: cannot write missing/folder/result.json: the folder ...
    """
    target = Path(path)
    if not _is_special(target):
        _create_beside(_followed(target)).unlink()


def _is_special(path: Path) -> bool:
    """Whether ``path`` is there but neither a file nor a folder: a device, a pipe, a socket."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _followed(path: Path) -> Path:
    """``path``, or what it points to when it is a symbolic link."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def _create_beside(target: Path) -> Path:
    """Create an empty file with a name of its own in the folder of ``target``."""
    if os.path.isdir(target):
        raise OutputError(
            f"cannot write a file named {target}: there is a folder of that name; give the name of "
            f"a file, for example {target / 'result.json'}"
        )
    if os.path.exists(target) and not os.access(target, os.W_OK):
        raise OutputError(
            f"cannot write {target}: the file exists and is write-protected; choose another name "
            "or make it writable"
        )
    temporary = target.with_name(f".stvg-partial-{secrets.token_hex(6)}{target.suffix}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise OutputError(_open_message(target, error)) from error
    return temporary


def _sync(path: Path) -> None:
    """Make the contents durable before the rename is, so that a power cut leaves no empty file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_message(target: Path, error: OSError) -> str:
    """One paragraph on why no file can be made beside ``target``."""
    folder = target.parent
    if error.errno in _FULL:
        return _full_message(target)
    if not folder.exists():
        return (
            f"cannot write {target}: the folder {folder} does not exist; create it first or choose "
            "a name in another folder"
        )
    if not folder.is_dir():
        return (
            f"cannot write {target}: {folder} is a file, not a folder; choose a name in a folder "
            "that exists"
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return (
            f"cannot write {target}: no permission to create files in the folder {folder}; choose "
            "another folder or change its permissions"
        )
    return f"cannot write {target}: {error.strerror}; choose another name or another folder"


def _full_message(target: Path) -> str:
    """One paragraph on a full disk, with what is left on it."""
    free_mb = shutil.disk_usage(target.parent).free / 1e6
    return (
        f"cannot write {target}: the disk is full ({free_mb:.1f} MB free) or a quota is reached; "
        "nothing half-written was left behind; free some space or choose a folder on another disk"
    )
