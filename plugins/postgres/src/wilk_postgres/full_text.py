"""Full text over messages and passages: for each a table of ``tsvector``, kept in step by triggers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wilk.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

_VERSION = 1
"""Of how words are folded and taken apart; with another one the index is made anew."""

_COLLATIONS = ("pg_c_utf8", "und-x-icu", "C.utf8", "C.UTF-8", "en_US.utf8", "en_US.UTF-8")
"""What may know the letters of all scripts, whatever the locale of the database; the first one is taken."""

# Scripts written without spaces between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_LONGEST_WORD = 2000  # bytes; the server keeps no longer ones
_AT_ONCE = 400  # words of one tsquery: it is a tree, and as deep
_WEIGHED = 16  # words that are weighed by how rare they are
_COUNTED = 10_000

# What stands between {braces} is put in at installation: functions find each other whatever the search_path.
_FUNCTIONS = {
    # Without case, accents and marks, words apart by one space. The first four million characters: beyond
    # that the server would run out of what it can hold of one text.
    "folded": """
CREATE OR REPLACE FUNCTION {schema}.wilk_folded(text text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $wilk$
SELECT regexp_replace(
    CASE WHEN octet_length($1) = length($1) THEN lower(left($1, 4000000) COLLATE {collation})
    ELSE translate(lower(regexp_replace(normalize(left($1, 4000000), NFD), '[\u0300-\u036f]+', '', 'g')
        COLLATE {collation}), 'ς', 'σ') END,
    '[^[:alnum:]]+', ' ', 'g')
$wilk$""",
    # A tsvector has room for a megabyte of different words: of a longer text the beginning is kept.
    "words": """
CREATE OR REPLACE FUNCTION {schema}.wilk_words(text text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $wilk$
DECLARE
    folded text := {schema}.wilk_folded($1);
    size integer;
BEGIN
    IF octet_length(folded) < 300000 THEN
        RETURN to_tsvector('pg_catalog.simple', folded);
    END IF;
    size := length(folded);
    LOOP
        BEGIN
            RETURN to_tsvector('pg_catalog.simple', folded);
        EXCEPTION WHEN program_limit_exceeded THEN
            size := size * 4 / 5;
            folded := left(folded, size);
            folded := left(folded, size - strpos(reverse(folded), ' '));
        END;
    END LOOP;
END
$wilk$""",
    # Words parted by spaces as a query; one may be several to the index, such as snake_case.
    "query": """
CREATE OR REPLACE FUNCTION {schema}.wilk_query(words text, within text, between_them text) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $wilk$
SELECT to_tsquery('pg_catalog.simple', string_agg('(' || replace(folded, ' ', $2) || ')', $3))
FROM (SELECT trim({schema}.wilk_folded(word)) AS folded FROM unnest(string_to_array($1, ' ')) AS word) AS each
WHERE folded <> ''
$wilk$""",
    # A tsvector knows of 256 places of a word, and of the first 16,383 words: what lies beyond is looked for
    # in the text.
    "holds": """
CREATE OR REPLACE FUNCTION {schema}.wilk_holds(text text, words text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $wilk$
SELECT CASE WHEN length($1) > 510 THEN (
    SELECT coalesce(bool_and(strpos(whole, ' ' || trim({schema}.wilk_folded(word)) || ' ') > 0), true)
    FROM (SELECT ' ' || {schema}.wilk_folded($1) || ' ' AS whole) AS one,
        unnest(string_to_array($2, ' ')) AS word
) ELSE false END
$wilk$""",
}
_FOLLOWING = """
CREATE OR REPLACE FUNCTION {schema}.wilk_follow_{table}() RETURNS trigger LANGUAGE plpgsql AS $wilk$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE {schema}.{table}_words;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM {schema}.{table}_words WHERE pk = old.pk;
    ELSE
        INSERT INTO {schema}.{table}_words (pk, words) VALUES (new.pk, {schema}.wilk_words(new.text))
        ON CONFLICT (pk) DO UPDATE SET words = excluded.words;
    END IF;
    RETURN NULL;
END
$wilk$"""
_TRIGGERS = {
    "{table}_words_row": "AFTER INSERT OR DELETE OR UPDATE OF text ON {schema}.{table} FOR EACH ROW",
    "{table}_words_all": "AFTER TRUNCATE ON {schema}.{table} FOR EACH STATEMENT",
}
_TABLE = "CREATE TABLE {schema}.{table}_words (pk bigint PRIMARY KEY, words tsvector NOT NULL)"
# What is new waits in a list that every search reads: the longer, the longer takes the write that empties it.
_INDEX = (
    "CREATE INDEX IF NOT EXISTS {table}_words_index ON {schema}.{table}_words "
    "USING gin (words) WITH (gin_pending_list_limit = 1024)"
)
_FILL = (
    "INSERT INTO {schema}.{table}_words (pk, words) "
    "SELECT pk, {schema}.wilk_words(text) FROM {schema}.{table} AS one "
    "WHERE NOT EXISTS (SELECT 1 FROM {schema}.{table}_words AS held WHERE held.pk = one.pk)"
)
_DROP = (
    "DELETE FROM {schema}.{table}_words AS held "
    "WHERE NOT EXISTS (SELECT 1 FROM {schema}.{table} AS one WHERE one.pk = held.pk)"
)


class TextSearch:
    """The full-text index of a store (:class:`wilk.contracts.FullText`).

    A table beside ``messages`` and one beside ``passages`` hold the words. Compared with a generated column
    writing costs about a fifth less and searching half, for rows are short; making it anew locks nothing that
    is read, and rewrites no messages.
    """

    _TABLES = ("messages", "passages")

    def install(self, database: Database) -> None:
        """Make the indexes, or put back what is missing of them. Takes part in a transaction."""
        present = set(database.get_tables())
        tables = [table for table in self._TABLES if table in present]
        if not tables:
            return
        (schema,) = database.execute_sql("SELECT quote_ident(current_schema())").fetchone()
        anew = self._functions(database, schema)
        for table in tables:
            names = {"schema": schema, "table": table}
            missing = {name.format(**names): how for name, how in _TRIGGERS.items()}
            for (name,) in database.execute_sql(
                f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{schema}.{table}'::regclass "
                "AND tgenabled <> 'D'"
            ).fetchall():
                missing.pop(name, None)
            if f"{table}_words" not in present:
                database.execute_sql(_TABLE.format(**names))
            elif anew or missing:
                database.execute_sql(f"TRUNCATE {schema}.{table}_words")  # texts may have changed meanwhile
            if anew or missing:
                database.execute_sql(_FOLLOWING.format(**names))
            for name, how in missing.items():
                database.execute_sql(f"DROP TRIGGER IF EXISTS {name} ON {schema}.{table}")
                database.execute_sql(
                    f"CREATE TRIGGER {name} {how.format(**names)} "
                    f"EXECUTE FUNCTION {schema}.wilk_follow_{table}()"
                )
            database.execute_sql(_DROP.format(**names))
            database.execute_sql(_FILL.format(**names))
            database.execute_sql(_INDEX.format(**names))

    def _functions(self, database: Database, schema: str) -> bool:
        """Make the functions, unless they are there; whether they were made."""
        wanted = [f"wilk_{name}" for name in _FUNCTIONS]
        there = dict(
            database.execute_sql(
                "SELECT proname, coalesce(obj_description(oid, 'pg_proc'), '') FROM pg_proc "
                f"WHERE pronamespace = '{schema}'::regnamespace AND starts_with(proname, 'wilk_')"
            ).fetchall()
        )
        mark = f"full text of wilk, version {_VERSION}"
        if all(there.get(name) == mark for name in wanted):
            return False
        names = {"schema": schema, "collation": _collation(database)}
        for name in wanted:
            database.execute_sql(_FUNCTIONS[name.removeprefix("wilk_")].format(**names))
            database.execute_sql(f"COMMENT ON FUNCTION {schema}.{name} IS '{mark}'")
        return True

    def matching(self, text: str, table: str, *, any_word: bool = False) -> Any:
        """Turn any user input into a query of ``pk`` and ``rank``; None when text must be compared."""
        from peewee import SQL, NodeList, Table

        words = _words(text)
        if not words or _UNSPACED.search(text) or any(_unknown(word) for word in words):
            return None
        index = Table(f"{table}_words")

        def holds(query: str) -> Any:
            return NodeList((index.c.words, SQL(f"@@ {query}")))

        parts = [words[start : start + _AT_ONCE] for start in range(0, len(words), _AT_ONCE)]
        if any_word:
            either = holds(_query(parts[0], between=" | "))
            for part in parts[1:]:
                either = NodeList((either, SQL("OR"), holds(_query(part, between=" | "))))
            conditions = [NodeList((SQL("("), either, SQL(")")))]
        else:
            conditions = [holds(_query(part)) for part in parts]
            for part in parts:
                if several := [word for word in part if not _one(word)]:
                    phrase = holds(_query(several, within=" <-> "))
                    elsewhere = (
                        f"OR EXISTS (SELECT 1 FROM {table} AS one "
                        f"WHERE wilk_holds(one.text, '{' '.join(several)}') AND one.pk ="
                    )
                    conditions.append(NodeList((SQL("("), phrase, SQL(elsewhere), index.c.pk, SQL("))"))))
        rank = _rank(index, words, table)
        return index.select(index.c.pk.alias("pk"), rank.alias("rank")).where(*conditions)


def _rank(index: Any, words: Sequence[str], table: str) -> Any:
    """How well a row fits, smaller being better: how often it has each word for its length, where rare words
    count more (as BM25 has it)."""
    from peewee import SQL, NodeList

    def often(query: str) -> list[Any]:
        return [SQL("ts_rank("), index.c.words, SQL(f", {query}, 1)")]

    if len(words) == 1 or len(words) > _WEIGHED:
        return NodeList((SQL("-"), *often(_query(words[:_AT_ONCE], between=" | "))))
    parts: list[Any] = [SQL("-(0")]
    for word in words:
        query = _query([word])
        some = f"SELECT FROM {table}_words WHERE words @@ {query} LIMIT {_COUNTED}"
        held = f"(SELECT count(*) FROM ({some}) AS few)"
        parts += [
            SQL(f"+ (SELECT ln(1 + (max(pk) + 1.0) / ({held} + 1)) FROM {table}_words) *"),
            *often(query),
        ]
    return NodeList((*parts, SQL(")")))


def _query(words: Sequence[str], *, within: str = " & ", between: str = " & ") -> str:
    """SQL of a query. Words have letters, digits and marks alone, so that they can stand in it as they are:
    of a constant the planner knows how many rows there are."""
    if all(word.isascii() and word.isalpha() for word in words):  # these the index has as they are
        return "tsquery '" + between.join(words).lower() + "'"
    return f"wilk_query('{' '.join(words)}', '{within}', '{between}')"


def _words(text: str) -> list[str]:
    """The distinct words of a text with the marks at their letters, such as accents and signs for vowels."""
    if text.isascii():
        found = re.findall(r"\w+", text)
    else:
        from unicodedata import category  # a megabyte that ASCII does not need

        held = (c if c.isalnum() or c == "_" or category(c)[0] == "M" else " " for c in text)
        found = "".join(held).split()
    return [word for word in dict.fromkeys(found) if any(c.isalnum() for c in word)]


def _one(word: str) -> bool:
    """Whether a word is surely one to the index as well."""
    return word.isascii() and "_" not in word


def _unknown(word: str) -> bool:
    """Whether the index may not have a word: one that is too long for it, or with numbers such as ² and ①,
    which are signs to the server."""
    if word.isascii():
        return len(word) > _LONGEST_WORD
    from unicodedata import category, normalize  # dito

    whole = normalize("NFD", word)
    return len(whole.encode()) > _LONGEST_WORD or any(category(c) in ("No", "Nl") for c in whole)


def _collation(database: Database) -> str:
    """A collation that folds all letters. Raises SchemaError where there is none."""
    known = database.execute_sql(
        "SELECT collname FROM pg_collation WHERE collnamespace = 'pg_catalog'::regnamespace "
        "AND collencoding IN (-1, pg_char_to_encoding('UTF8'))"
    ).fetchall()
    names = {name for (name,) in known}
    for name in (one for one in _COLLATIONS if one in names):
        chosen = f'pg_catalog."{name}"'
        with database.atomic() as attempt:
            try:
                found = database.execute_sql(
                    f"SELECT lower('ÉЁΣ' COLLATE {chosen}), 'é' COLLATE {chosen} ~ '^[[:alnum:]]$'"
                ).fetchone()
            except Exception:  # known by name, and not to this build of the server
                attempt.rollback()
                continue
        if found == ("éёσ", True):
            return chosen
    raise SchemaError(
        f"the server has none of the collations {', '.join(_COLLATIONS)}, by which letters of all scripts "
        "are found whatever their case"
    )
