"""The ways to start a processor. Only ``orchestrator.execution.run`` reaches them."""
