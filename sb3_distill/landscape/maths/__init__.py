"""The maths of landscapes: pure functions of flat parameter vectors, stacked outputs and matrices of scores."""
