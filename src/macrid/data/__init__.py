"""From files and frames to people's histories; no torch modules here."""
