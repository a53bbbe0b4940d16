"""Definitions: YAML and JSON files that people write, and the rows that follow them."""
