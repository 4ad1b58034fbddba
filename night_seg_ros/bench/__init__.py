"""Measures speed and memory, always against a plain baseline in the same run."""
