"""Commands for recorded play."""
