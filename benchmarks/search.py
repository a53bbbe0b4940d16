"""Search among a million messages: rare words, common ones, sentences, against ranking all that matches."""

from __future__ import annotations

from pathlib import Path

import wilk
from benchmarks import material
from benchmarks.measuring import Report, Run, interleaved, timed
from benchmarks.open import full_store

QUERIES = {
    "a rare word": (4_000,),
    "the commonest word": (0,),
    "a rare and the commonest word": (0, 4_000),
    "a sentence of 8 words": (0, 3, 12, 77, 500, 1_500, 2_500, 4_500),
    "32 words": tuple(range(0, 4_992, 156)),
}


def measure(folder: Path, *, quick: bool = False, kept: Path | None = None) -> Report:
    """Compare ``store.search`` with ordering by FTS5's own rank whatever holds one of the words."""
    count, rounds = (100_000, 3) if quick else (1_000_000, 9)
    full, size = full_store(kept or folder, folder, count)
    report = Report("search", f"store.search among {count:,} messages ({size:,.0f} MiB), the best 20")
    words = material._vocabulary()
    with wilk.open_store(f"sqlite:///{full}") as store:
        fetch = store._engine.execute

        def ranked(expression: str) -> None:
            fetch(
                "SELECT messages.id, messages.text FROM messages_fts JOIN messages ON messages.pk = "
                "messages_fts.rowid WHERE messages_fts MATCH ? ORDER BY messages_fts.rank LIMIT 20",
                [expression],
            )

        for name, ranks in QUERIES.items():
            chosen = [words[rank] for rank in ranks]
            text, either = " ".join(chosen), " OR ".join(f'"{word}"' for word in chosen)
            contestants: dict[str, Run] = {
                "wilk": lambda text=text: timed(lambda: store.search(text)),
                "FTS5": lambda either=either: timed(lambda: ranked(either)),
            }
            samples = interleaved(contestants, rounds)
            report.figure(f"{name}: wilk", samples["wilk"], "ms")
            report.figure(f"{name}: FTS5 ranks every match", samples["FTS5"], "ms")
            report.compare(f"{name}: wilk ÷ FTS5", samples["wilk"], samples["FTS5"])
        contestants = {"": lambda: timed(lambda: store.search("编程"))}
        report.figure("a word of a script without spaces: wilk", interleaved(contestants, 3)[""], "ms")
    report.notes.append("store.search also reads the records, makes snippets, and searches the passages")
    return report
