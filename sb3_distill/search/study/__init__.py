"""The engine of a search: who tries which architecture, on one machine or on several, and what came of it."""
