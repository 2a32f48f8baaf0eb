"""Scores FHIR R4 questionnaire responses by guidance that is written as data; knows no clinical content."""
