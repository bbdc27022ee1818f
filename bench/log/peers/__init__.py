"""The libraries that people would take instead, each used as its own documentation says."""
