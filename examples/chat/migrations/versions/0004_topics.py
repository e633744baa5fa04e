"""A topic for each conversation. Only adds: releases that don't know it work on."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE conversations ADD COLUMN topic text")


def downgrade() -> None:
    op.execute("ALTER TABLE conversations DROP COLUMN topic")
