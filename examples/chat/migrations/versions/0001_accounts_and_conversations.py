"""Accounts, conversations and their messages."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE accounts (
            id uuid PRIMARY KEY,
            name text NOT NULL,
            password_hash text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE UNIQUE INDEX accounts_name ON accounts (lower(name))")
    op.execute("""
        CREATE TABLE conversations (
            id uuid PRIMARY KEY,
            title text NOT NULL,
            created_by uuid NOT NULL REFERENCES accounts,
            created_at timestamptz NOT NULL DEFAULT now(),
            last_number bigint NOT NULL DEFAULT 0,
            last_message_at timestamptz
        )
    """)
    op.execute("CREATE INDEX conversations_last_message_at ON conversations (last_message_at)")
    op.execute("""
        CREATE TABLE members (
            conversation_id uuid NOT NULL REFERENCES conversations,
            account_id uuid NOT NULL REFERENCES accounts,
            joined_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (conversation_id, account_id)
        )
    """)
    op.execute("CREATE INDEX members_account ON members (account_id)")
    # Numbers count up by one in each conversation, in the order of the commits: a reader who has number 7 knows
    # that nothing before it is missing. The client's id makes a repeated post harmless.
    op.execute("""
        CREATE TABLE messages (
            conversation_id uuid NOT NULL REFERENCES conversations,
            number bigint NOT NULL,
            account_id uuid NOT NULL REFERENCES accounts,
            client_id uuid NOT NULL,
            text text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (conversation_id, number),
            CONSTRAINT messages_client_id UNIQUE (conversation_id, account_id, client_id)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE messages")
    op.execute("DROP TABLE members")
    op.execute("DROP TABLE conversations")
    op.execute("DROP TABLE accounts")
