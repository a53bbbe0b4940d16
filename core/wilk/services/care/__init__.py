"""Care: whether the store is well, and how large it is."""
