"""IAM: users, groups, roles, policies, keys, MFA devices, identity providers, and the simulator."""

from dock.aws.iam import totp
from dock.aws.iam.service import Iam

__all__ = ["Iam", "totp"]
