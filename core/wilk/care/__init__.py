"""Care of a store: backups, recovery, maintenance, the doctor, forgetting."""
