"""Vectors in collections: their spaces and rows, and what is nearest."""
