"""Vectors as pgvector takes and gives them, and distances as wilk counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]

_OPERATORS = {"cosine": "<#>", "dot": "<#>", "euclidean": "<->"}
_CLASSES = {"cosine": "ip_ops", "dot": "ip_ops", "euclidean": "l2_ops"}
_MOST = {"vector": 1e15, "halfvec": 65504.0}
"""The largest value: squares of larger ones are no float32, and larger ones are no half of one."""


class Form(NamedTuple):
    """How vectors of one space lie in a table: as float32, or as half of that where they are too long."""

    type: str
    dimension: int
    distance: str
    schema: str
    """The one that the extension is in."""

    @property
    def column(self) -> str:
        """The type of the column."""
        return f"{self.schema}.{self.type}({self.dimension})"

    @property
    def operator(self) -> str:
        """What compares two vectors, smaller being nearer."""
        return f"OPERATOR({self.schema}.{_OPERATORS[self.distance]})"

    @property
    def operators(self) -> str:
        """The operator class of an index."""
        return f"{self.schema}.{self.type}_{_CLASSES[self.distance]}"

    def ready(self, vectors: Floats) -> Floats:
        """Vectors as they are compared: for cosine of length 1, or of length 0."""
        vectors = np.ascontiguousarray(vectors, np.float32)
        if self.distance == "cosine":
            # Scaled first: the squares of very large and very small values are no float32.
            largest = np.abs(vectors).max(axis=1, keepdims=True)
            scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
            lengths = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
            vectors = np.divide(scaled, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        most = np.float32(_MOST[self.type])
        kept: Floats = np.clip(vectors, -most, most)
        return kept

    def text(self, query: Floats) -> str:
        """One vector that is asked for, as the server reads it."""
        return "[" + ",".join(map(repr, self.ready(query[None])[0].tolist())) + "]"

    def rows(self, numbers: Numbers, vectors: Floats) -> bytes:
        """Numbers with their vectors, as COPY takes them in binary form."""
        count, dimension = vectors.shape
        size = 4 if self.type == "vector" else 2
        table = np.empty(
            count,
            [
                ("fields", ">i2"),
                ("of_number", ">i4"),
                ("number", ">i8"),
                ("of_vector", ">i4"),
                ("dimension", ">i2"),
                ("unused", ">i2"),
                ("values", f">f{size}", (dimension,)),
            ],
        )
        table["fields"], table["of_number"], table["number"] = 2, 8, numbers
        table["of_vector"], table["dimension"], table["unused"] = 4 + size * dimension, dimension, 0
        table["values"] = self.ready(vectors)
        return b"PGCOPY\n\xff\r\n\0" + bytes(8) + table.tobytes() + b"\xff\xff"

    def values(self, data: bytes) -> Floats:
        """One vector of a table, from its binary form."""
        found: Floats = np.frombuffer(data, ">f4" if self.type == "vector" else ">f2", offset=4).astype(
            np.float32
        )
        return found

    def distances(self, found: list[float]) -> Floats:
        """What the operator gives, as distances."""
        told = np.array(found, np.float32)
        return told + np.float32(1) if self.distance == "cosine" else told
