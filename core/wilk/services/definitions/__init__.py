"""Verbs of the definitions family: agents, prompts, personas, presets and the rest."""
