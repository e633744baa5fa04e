"""AWS Backup: vaults with their locks, plans and selections as records of intent. No job runs yet."""

from dock.aws.backup.backup import Backup

__all__ = ["Backup"]
