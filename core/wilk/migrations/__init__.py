"""The schema's history: numbered files, of which released ones never change, and their runner."""
