"""Torture: worlds that are killed, and files that are flipped, by the hundred."""
