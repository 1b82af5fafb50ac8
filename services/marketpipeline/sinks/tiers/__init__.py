"""Moving the history between the database and the archive."""
