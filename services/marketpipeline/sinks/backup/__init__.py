"""Backups: the database, how far its sink has read, and the job's newest savepoint; and the way back."""
