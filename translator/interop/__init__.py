"""Other systems' models: one folder for each system."""
