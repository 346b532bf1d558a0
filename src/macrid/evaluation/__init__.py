"""Is it any good? Accuracy on held-out users, and concepts beside known categories."""
