"""The backends that ship: they come in through the same entry points as anybody's plugin."""
