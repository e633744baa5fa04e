"""Access key ids: they carry their account, as AWS's do, so that an unknown key still says whose it would be."""

from __future__ import annotations

import base64
import secrets

# 40 bits of account, one bit above, then chance: 16 letters of base 32 are 10 bytes.
_ACCOUNT_SHIFT = 7


def key_id(prefix: str, account: str) -> str:
    """`AKIA…` for a key of long life, `ASIA…` for a session's."""
    number = (1 << 47) | (int(account) << _ACCOUNT_SHIFT) | secrets.randbits(_ACCOUNT_SHIFT)
    raw = number.to_bytes(6, "big") + secrets.token_bytes(4)
    return prefix + base64.b32encode(raw).decode()


def account_of(access_key_id: str) -> str | None:
    """The account that a key id was made for; None when it is no such id."""
    try:
        raw = base64.b32decode(access_key_id[4:])
    except ValueError:
        return None
    if len(raw) != 10:
        return None
    return str((int.from_bytes(raw[:6], "big") & 0x7FFFFFFFFF80) >> _ACCOUNT_SHIFT).zfill(12)
