"""Passwords, kept as salted scrypt hashes: `scrypt$N$r$p$salt$hash`."""

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

N, R, P = 2**14, 8, 1
"""16 MiB and some 50 ms each. Kept in the hash, so that they can be raised later."""

# Hashing is the dearest thing a stranger can ask for: at most two at once, the others wait their turn.
_turns = asyncio.Semaphore(2)


async def hashed(password: str) -> str:
    salt = secrets.token_bytes(16)
    digest = await _scrypt(password, salt, N, R, P)
    return "$".join(("scrypt", str(N), str(R), str(P), b64encode(salt).decode(), b64encode(digest).decode()))


async def matches(password: str, stored: str) -> bool:
    _, n, r, p, salt, digest = stored.split("$")
    return hmac.compare_digest(await _scrypt(password, b64decode(salt), int(n), int(r), int(p)), b64decode(digest))


async def waste_the_same_time(password: str) -> None:
    """For a name that does not exist, so that the answer's time does not tell."""
    await _scrypt(password, b"no such account!", N, R, P)


async def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    async with _turns:
        return await asyncio.to_thread(
            hashlib.scrypt, password.encode(), salt=salt, n=n, r=r, p=p, maxmem=64 * 1024 * 1024, dklen=32
        )
