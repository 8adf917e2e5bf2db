"""Modal, seen from the orchestrator: its SDK runs in a process of its own, and only there."""
