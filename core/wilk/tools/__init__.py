"""The tools that ship: they come in as any plugin's would, and an agent has those that its file names."""
