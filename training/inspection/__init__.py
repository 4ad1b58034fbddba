"""Looks a data set over."""
