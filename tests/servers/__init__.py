"""Real servers for tests: started out of wheels in temporary folders, never as root."""
