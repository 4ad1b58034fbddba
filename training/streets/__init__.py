"""Drawn streets by day and by night, with their labels."""
