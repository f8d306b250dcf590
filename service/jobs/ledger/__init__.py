"""What is known of jobs and chunks, and who works on them: SQLite or PostgreSQL."""
