"""A guidance in the formats of FHIR Clinical Reasoning; knows the guidance and its form, and no HTTP."""
