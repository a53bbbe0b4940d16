"""Imports the store without OpenSSL, which Python's hashlib would load for a checksum of a few bytes."""

from __future__ import annotations

import sys
from importlib import import_module

_OWN_DIGESTS = ("_md5", "_sha1", "_sha2" if sys.version_info >= (3, 12) else "_sha256", "_blake2", "_sha3")


def import_store() -> None:
    """Import ``wilk.store`` and what it needs while hashlib makes do with Python's own digests.

    OpenSSL is 3 MiB, of the 12 that a reading command may take. Whoever imports hashlib afterwards
    gets it whole. Where Python was built without digests of its own, nothing is different.
    """
    if "hashlib" not in sys.modules and _has_own_digests():
        sys.modules["_hashlib"] = None  # type: ignore[assignment]  # as documented: the import fails
        try:
            import_module("wilk.store")
        finally:
            del sys.modules["_hashlib"]
            sys.modules.pop("hashlib", None)


def _has_own_digests() -> bool:
    try:
        for name in _OWN_DIGESTS:
            import_module(name)
    except ImportError:
        return False
    return True
