"""The losses of the three papers; pure functions, by equation."""
