"""Operations: one verb, one file. Each starts from a manifest and talks to public APIs only."""
