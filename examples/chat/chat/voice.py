"""Voices for messages: a queue in Redis, and a stub of a synthesiser that drains it.

The stub speaks in tones, one for each letter, and returns an ordinary WAV file.
"""

import asyncio
import io
import json
import logging
import math
import wave
from array import array
from uuid import UUID

from redis.asyncio import Redis

from chat import cache

log = logging.getLogger(__name__)

QUEUE = "voice:queue"
AUDIO_SECONDS = 600
"""How long a finished voice can be fetched."""
CLAIM_SECONDS = 30
"""A job lost with its task may be asked for again after this time."""
LETTERS = 60
RATE = 8000


async def ask(redis: Redis, conversation: UUID, number: int, text: str) -> bytes | None:
    """The WAV file when it is ready; else None, and the job is in the queue, once."""
    name = f"{conversation}:{number}"
    async with cache.bounded():
        audio = await redis.get(f"voice:audio:{name}")
        if audio is None and await redis.set(f"voice:asked:{name}", 1, nx=True, ex=CLAIM_SECONDS):
            await redis.rpush(QUEUE, json.dumps({"name": name, "text": text[:LETTERS]}))
    return None if audio is None else bytes(audio)  # type: ignore[arg-type]  # decode_responses is off


async def depth(redis: Redis) -> int:
    async with cache.bounded(1.0):
        return int(await redis.llen(QUEUE))


async def drain(redis: Redis, pause: float = 0.25) -> None:
    """Runs until it is cancelled; outlives the cache's absence."""
    while True:
        try:
            async with cache.bounded():
                job = await redis.lpop(QUEUE)
            if job is None:
                await asyncio.sleep(pause)
                continue
            document = json.loads(job)  # type: ignore[arg-type]  # one value, as no count was asked for
            name, text = document["name"], document["text"]
            audio = await asyncio.to_thread(synthesise, text)
            async with cache.bounded():
                await redis.set(f"voice:audio:{name}", audio, ex=AUDIO_SECONDS)
        except cache.CacheAway:
            await asyncio.sleep(4 * pause)
        except (ValueError, KeyError, TypeError):
            log.exception("voice job thrown away: it can't be read")


def synthesise(text: str) -> bytes:
    """A mono WAV file of 8-bit samples at 8 kHz, 60 ms a letter."""
    samples, length = array("B"), RATE * 60 // 1000
    for letter in text[:LETTERS].lower():
        step = 0.0 if letter.isspace() else 2 * math.pi * (220 + 12 * (ord(letter) % 32)) / RATE
        for i in range(length):
            samples.append(128 + int(50 * math.sin(step * i) * math.sin(math.pi * i / length)))
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(1)
        output.setframerate(RATE)
        output.writeframes(samples.tobytes())
    return file.getvalue()
