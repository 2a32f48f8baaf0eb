"""What authors are told of their files: warnings, differences between versions, a dossier for the review."""
