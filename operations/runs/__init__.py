"""What a run rests on: the store, the lease, the journal, approvals, the ledger, evidence. `operations.run` uses it."""
