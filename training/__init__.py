"""Offline training and evaluation. Knows the models, and nothing of ROS."""
