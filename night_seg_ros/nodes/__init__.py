"""The models on ROS 2."""
