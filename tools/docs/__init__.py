"""Documents that are generated from the values the code uses."""
