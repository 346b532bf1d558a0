"""The contract of every model, and the models."""
