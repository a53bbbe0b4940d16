"""Faults that are done to plugins, and what is recorded of how they fare."""
