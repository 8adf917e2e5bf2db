"""The app that is deployed to Modal: it runs a processor in the processor's own image."""
