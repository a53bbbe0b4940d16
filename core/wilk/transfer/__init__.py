"""What comes in and goes out: moves between backends, importers, exporters."""
