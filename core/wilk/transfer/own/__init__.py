"""wilk's own form of a store: JSON Lines that hold all of it, and the way back."""
