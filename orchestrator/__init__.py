"""The core: decides what may run, runs it through one door, and records what happened."""
