"""Where archived rows are kept: in the table, or in compressed files beside the database."""
