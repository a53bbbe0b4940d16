"""Tools: which there are, what an agent's file names, and running them with everything in the log."""
