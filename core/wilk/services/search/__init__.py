"""What finds things: passages of text, vectors, and the search over both."""
