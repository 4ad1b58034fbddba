"""Scores of a model, and the charts that show them."""
