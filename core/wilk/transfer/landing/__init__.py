"""Records on their way into a store: new ones are written, changed ones changed, the rest is left."""
