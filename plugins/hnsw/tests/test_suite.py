"""The graph keeps the contract of indexes, as far as it has come and when it is done."""

import pytest

import wilk_hnsw
from wilk import VectorIndex
from wilk.testing import VectorIndexSuite


class TestHnsw(VectorIndexSuite):
    recall = 0.95

    @pytest.fixture
    def index(self) -> VectorIndex:
        return next(wilk_hnsw.register_vector_indexes())


class TestHnswWithoutWork(VectorIndexSuite):
    """While the graph is not built, all vectors are compared, and nothing is missed."""

    @pytest.fixture
    def index(self) -> VectorIndex:
        from wilk_hnsw import _open

        return VectorIndex("hnsw-idle", _open)
