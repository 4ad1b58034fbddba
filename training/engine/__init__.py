"""The training loop, and what every method's training needs."""
