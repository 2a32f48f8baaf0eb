"""One module per change of the schema, never edited once it was released."""
