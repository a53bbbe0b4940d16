"""Connectome's storage over wilk, by its own names: the interface, the factory, and functions beside it."""

from __future__ import annotations

from wilk.adapters.connectome_factory import FileStorage as FileStorage
from wilk.adapters.connectome_factory import SQLiteStorage as SQLiteStorage
from wilk.adapters.connectome_factory import StorageFactory as StorageFactory
from wilk.adapters.connectome_factory import create_file_storage as create_file_storage
from wilk.adapters.connectome_factory import create_sqlite_storage as create_sqlite_storage
from wilk.adapters.connectome_factory import create_storage as create_storage
from wilk.adapters.connectome_factory import create_storage_from_env as create_storage_from_env
from wilk.adapters.connectome_factory import get_available_backends as get_available_backends
from wilk.adapters.connectome_interface import StorageInterface as StorageInterface
from wilk.adapters.connectome_storage import ConnectomeStorage as ConnectomeStorage
from wilk.services.connectome.memories import memory_id as memory_id
