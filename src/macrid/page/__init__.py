"""The page: people build a history, turn the dials and see their list change."""
