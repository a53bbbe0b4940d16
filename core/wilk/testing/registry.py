"""The contract of a source of agent packages, as a class of tests: subclass it and give ``source``."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from wilk.contracts import RegistrySource
from wilk.definitions import packages
from wilk.errors import BackendError
from wilk.services.registry.entries import entries


class RegistrySuite:
    """Everything that the registry relies on.

    A subclass gives the fixture ``source``: an open source that offers at least one sound package.
    """

    @pytest.fixture
    def source(self) -> RegistrySource:
        raise NotImplementedError("give an open source that offers at least one package")

    def test_every_entry_is_one_that_is_taken(self, source: RegistrySource) -> None:
        found = entries(source.index())
        assert found.packages, "it offers no package"
        assert found.left_out == []

    def test_the_index_is_the_same_when_nothing_changed(self, source: RegistrySource) -> None:
        assert list(map(dict, source.index())) == list(map(dict, source.index()))

    def test_a_package_is_what_the_index_says(self, source: RegistrySource) -> None:
        for entry in source.index():
            data = source.fetch(_location(entry), packages.MAX_PACKAGE)
            assert isinstance(data, bytes)
            assert sha256(data).hexdigest() == entry["checksum"]

    def test_a_package_is_sound(self, source: RegistrySource) -> None:
        for entry in source.index():
            assert packages.read(source.fetch(_location(entry), packages.MAX_PACKAGE)).files

    def test_no_more_is_given_than_is_wanted(self, source: RegistrySource) -> None:
        location = _location(source.index()[0])
        with pytest.raises(BackendError):
            source.fetch(location, 1)
        size = len(source.fetch(location, packages.MAX_PACKAGE))
        assert len(source.fetch(location, size)) == size

    @pytest.mark.parametrize(
        "location",
        ["nothing-is-here.zip", "../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "a\0b"],
    )
    def test_what_is_not_offered_cannot_be_fetched(self, source: RegistrySource, location: str) -> None:
        with pytest.raises(BackendError):
            source.fetch(location, packages.MAX_PACKAGE)

    def test_it_can_be_closed_twice(self, source: RegistrySource) -> None:
        source.index()
        source.close()
        source.close()


def _location(entry: Any) -> str:
    return str(entry["location"])
