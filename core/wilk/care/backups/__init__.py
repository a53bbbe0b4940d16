"""Backups: made while others write, tried before they are called good, put back whole."""
