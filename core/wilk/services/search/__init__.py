"""The search over full text and vectors, and what is similar."""
