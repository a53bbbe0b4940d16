"""Sources of agent packages that ship: a folder, and an index over HTTP."""
