"""A small chat service: accounts, conversations, live messages, characters, payments and voices."""
