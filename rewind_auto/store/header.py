"""What kind of file a store's path names, from its first hundred bytes.

SQLite itself is not loaded: this runs before every command that is recorded, and many of those never
make a call.
"""

from __future__ import annotations

import os
import stat

from rewind_auto.core.errors import StoreError
from rewind_auto.store import ownership
from rewind_auto.store.schema import APPLICATION_ID, SCHEMA_VERSION

_MAGIC = b"SQLite format 3\0"
_LENGTH = 100
# https://www.sqlite.org/fileformat.html#the_database_header: big-endian integers of four bytes
_SCHEMA_COOKIE, _USER_VERSION, _APPLICATION_ID = 40, 60, 68


def check(path: str) -> None:
    """Make sure that a store is, or can be, at ``path``. Nothing there, or an empty file, will do.

    Raises:
        StoreError: anything else. The file is left untouched.
    """
    try:
        ownership.check(path)
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise StoreError(f"{path} is a directory, not a store")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
            raise StoreError(f"{path} is not a regular file")
        with open(path, "rb", buffering=0) as file:
            header = file.read(_LENGTH)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot read the store {path}: {error.strerror}") from None
    if not header:
        return
    if len(header) < _LENGTH or not header.startswith(_MAGIC):
        raise StoreError(f"{path} is not a store of rewind-auto: not an SQLite file")
    if _field(header, _APPLICATION_ID) != APPLICATION_ID:
        # A store whose first transaction is still in the write-ahead log looks like an empty database.
        if _field(header, _SCHEMA_COOKIE):
            raise StoreError(f"{path} is not a store of rewind-auto: an SQLite file of another program")
    elif _field(header, _USER_VERSION) > SCHEMA_VERSION:
        version = _field(header, _USER_VERSION)
        raise StoreError(
            f"{path} was written by a newer release (format {version}, this one knows {SCHEMA_VERSION})"
        )


def _field(header: bytes, offset: int) -> int:
    return int.from_bytes(header[offset : offset + 4], "big")
