"""What networks are made of: torch modules without ids or files."""
