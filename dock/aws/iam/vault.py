"""Secrets of IAM and STS at rest: encrypted with a key of the home that only its owner can read."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from os import urandom
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dock.certificates import write_private
from dock.home import Home

_NONCE = 12


class Vault:
    """Seals what may be kept or handed out: a secret access key, an MFA seed, a session."""

    def __init__(self, home: Home) -> None:
        path = home.keys / "iam.key"
        if not path.exists():
            write_private(path, AESGCM.generate_key(256))
        self._key = path.read_bytes()
        self._cipher = AESGCM(self._key)

    def seal(self, value: Any, purpose: str) -> str:
        """Text that only `open` of this home and this purpose can read."""
        nonce = urandom(_NONCE)
        plain = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)
        return urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, purpose.encode())).decode()

    def derive(self, purpose: str) -> str:
        """A name that nobody can guess who has not the key, the same each time."""
        return hmac.new(self._key, purpose.encode(), hashlib.sha256).hexdigest()

    def open(self, sealed: str, purpose: str) -> Any:
        """What was sealed. Raises ValueError for anything else."""
        try:
            raw = urlsafe_b64decode(sealed)
            return json.loads(zlib.decompress(self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode())))
        except (InvalidTag, ValueError, zlib.error) as problem:
            raise ValueError("it was not sealed here") from problem
