"""Foreign forms, read safely: files, folders, ZIPs, JSON, BSON, databases. Nothing is written here."""
