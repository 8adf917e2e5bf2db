"""What container images are made of."""
