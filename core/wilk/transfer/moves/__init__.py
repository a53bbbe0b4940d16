"""Rows on their way between databases: moves from one backend to another, and their comparison."""
