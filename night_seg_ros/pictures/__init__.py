"""Draws the pictures that people look at."""
