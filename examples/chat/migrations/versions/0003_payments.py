"""Payments: one row for each attempt, also for one that failed."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE payments (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES accounts,
            amount_cents integer NOT NULL CHECK (amount_cents > 0),
            card_last_four text NOT NULL,
            outcome text NOT NULL CHECK (outcome IN ('pending', 'succeeded', 'failed')),
            provider_reference text,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX payments_account ON payments (account_id, created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE payments")
