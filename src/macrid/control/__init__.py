"""What people understand and turn: names, reasons, walks, dials; pure functions."""
