"""A control plane on loopback that speaks Modal's wire, for tests and demonstrations.

The unmodified SDK deploys to it and calls it, and the unmodified container entrypoint of the same
wheel runs in containers of it. docs/concepts/modal_local.md says how to start it and what it does
not prove. It knows nothing of the orchestrator, and nothing of it is in the product.
"""
