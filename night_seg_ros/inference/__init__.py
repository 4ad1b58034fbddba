"""Runs a model on frames: from pixels to labels, exposure and confidence. Knows nothing of ROS."""
