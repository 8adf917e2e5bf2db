"""llm/chat@1: one chat completion from an OpenAI-compatible endpoint."""
