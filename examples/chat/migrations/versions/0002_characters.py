"""Characters, who may open a conversation with their greeting."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE characters (
            id uuid PRIMARY KEY,
            name text NOT NULL,
            persona text NOT NULL,
            greeting text NOT NULL,
            colour text NOT NULL,
            created_by uuid NOT NULL REFERENCES accounts,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX characters_created_at ON characters (created_at)")
    op.execute("ALTER TABLE conversations ADD COLUMN character_id uuid REFERENCES characters")
    op.execute("ALTER TABLE messages ADD COLUMN character_id uuid REFERENCES characters")


def downgrade() -> None:
    op.execute("ALTER TABLE messages DROP COLUMN character_id")
    op.execute("ALTER TABLE conversations DROP COLUMN character_id")
    op.execute("DROP TABLE characters")
