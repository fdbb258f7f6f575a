"""Ways of judging an architecture."""
