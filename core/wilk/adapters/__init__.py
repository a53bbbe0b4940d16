"""The interfaces of other programs over a store, by their own method names."""
