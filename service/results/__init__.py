"""A result as RiskAssessment, narrative, text and explanation; no HTTP, no SQL."""
