"""Verbs of the learning family: interactions, patterns, feedback, preferences, world models."""
