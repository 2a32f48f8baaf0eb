"""Who may let whom in: the EHRs that are registered. It knows no resources."""
