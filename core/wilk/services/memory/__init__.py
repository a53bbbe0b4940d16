"""Verbs of the memory family: pins, working memory, facts, summaries, compaction, contexts."""
