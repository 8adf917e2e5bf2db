"""One execution, from a request to a checked envelope."""
