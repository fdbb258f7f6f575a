"""Ways of learning from recorded play, for many networks of one shape at once."""
