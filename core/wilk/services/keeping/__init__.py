"""Verbs of keeping: the archive, what goes into it and comes back, retention."""
