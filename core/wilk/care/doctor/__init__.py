"""The doctor: finds what is not as it should be, mends it on request, and can undo what it did."""
