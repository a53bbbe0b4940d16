"""The async face: every verb of the store once more, one typed line each, a module per family."""

from __future__ import annotations

from wilk.aio.store import AsyncStore as AsyncStore
from wilk.aio.store import open_async_store as open_async_store
