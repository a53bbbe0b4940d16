"""Full text over messages and passages: a generated ``tsvector`` column with an index."""

from __future__ import annotations

import re
from typing import Any

from peewee import SQL, Database, NodeList, Table


class TextSearch:
    _TABLES = ("messages", "passages")
    _UNSPACED = "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"

    def install(self, database: Database) -> None:
        present = set(database.get_tables())
        for table in self._TABLES:
            if table in present:
                database.execute_sql(
                    f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS words tsvector "
                    f"GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED"
                )
                database.execute_sql(f"CREATE INDEX IF NOT EXISTS {table}_words ON {table} USING gin (words)")

    def matching(self, text: str, table: str, *, any_word: bool = False) -> Any:
        if re.search(self._UNSPACED, text) or not re.search(r"\w", text):
            return None
        index = Table(table)
        query = NodeList((SQL("plainto_tsquery('simple', "), SQL("%s", [text]), SQL(")")))
        rank = NodeList((SQL("-ts_rank_cd(words, plainto_tsquery('simple', "), SQL("%s", [text]), SQL("))")))
        return index.select(index.c.pk.alias("pk"), rank.alias("rank")).where(NodeList((index.c.words, SQL("@@"), query)))
