"""Moving a database from SQLite to PostgreSQL with everything in it."""
