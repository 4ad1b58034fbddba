"""From image and label files, and drawn streets, to batches."""
