"""Verbs of the conversation family: sessions, messages, tool calls."""
