"""Ways to run a network: what is done to it, or instead of it, on a device."""
