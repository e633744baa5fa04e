"""The data plane: real PostgreSQL, Redis, HAProxy and application processes, without a word of AWS."""
