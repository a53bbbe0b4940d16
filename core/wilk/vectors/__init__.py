"""The embedded index of vectors: distances, codes, and what searches by both. Numpy only, no SQL."""
