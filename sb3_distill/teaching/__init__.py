"""A dataset becomes something that acts."""
