"""What the verbs return: frozen, typed records, a module per family.

They are named tuples: immutable, cheap enough to make for every row of a hot read, with
attributes, a readable ``repr``, ``_asdict()`` and ``_replace(...)``. Times are aware UTC
datetimes; ``metadata`` and other JSON fields are plain dictionaries and lists.

These modules do without ``from __future__ import annotations``: named tuples would compile every
annotation again at import, and every command line pays for it.
"""
