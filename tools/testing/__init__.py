"""What runs pytest inside a Bazel test, and what holds a lane to its promise."""
