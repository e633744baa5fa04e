"""ChatVRM: chat with characters that have a voice and a body."""
