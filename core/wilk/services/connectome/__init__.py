"""Verbs of the Connectome family: documents, raw messages, chunks, memories, reasoning, state."""
