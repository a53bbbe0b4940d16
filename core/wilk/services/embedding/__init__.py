"""What is derived of records, in step with them: passages of text, and their vectors."""
