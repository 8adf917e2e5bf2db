"""Goals: what must be true, the plans that make it so, and the proofs of both."""
