"""Answers, forms and units: the ground floor, which every room may use."""
