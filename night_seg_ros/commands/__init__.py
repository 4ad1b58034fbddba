"""The commands of ``night-seg`` that join the parts. Nothing imports them but ``cli``."""
