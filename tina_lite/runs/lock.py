"""One process at a time writes a folder: a lock that ends with its process, whatever ends that."""

import errno
import os
import time
from pathlib import Path

from tina_lite.disk import NOFOLLOW
from tina_lite.errors import BadInput

try:
    import fcntl
except ImportError:  # on Windows, where two processes on one folder are not told apart
    fcntl = None  # type: ignore[assignment]

HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
LOCK_WAITS_S = (0.02, 0.1, 0.0)

_held: set[int] = set()
"""Descriptors of locks that this process has."""


def lock_folder(path: Path) -> int:
    """An exclusive lock, by its descriptor; BadInput that names the owner where it is taken."""
    descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | NOFOLLOW, 0o644)
    if not _taken(descriptor):
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise BadInput(f"{path}: is being written by process {owner}; wait for it or stop it first")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    _held.add(descriptor)
    return descriptor


def unlock(descriptor: int) -> None:
    """Let go of a lock."""
    _held.discard(descriptor)
    os.close(descriptor)


def _let_go() -> None:
    """A child that a reward forks must not keep the lock after the run has died."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


def _taken(descriptor: int) -> bool:
    """Whether the lock is ours now; who only looks at the folder (look.py) holds it for a moment.

    Some network file systems have no locks: two processes on one folder are then not told apart.
    """
    for wait_s in LOCK_WAITS_S if fcntl else ():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD_BY_ANOTHER:
                return True
            time.sleep(wait_s)
        else:
            return True
    return fcntl is None


def is_locked(descriptor: int) -> bool:
    """Whether another process has the lock; where there are no locks, none has."""
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        pass
    return False
