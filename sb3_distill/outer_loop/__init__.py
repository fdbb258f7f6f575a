"""The gradient of an outer loss through inner learning; it knows neither an algorithm of SB3 nor an environment."""
