"""What must be remembered: events, saved controls, and which requests were answered."""
