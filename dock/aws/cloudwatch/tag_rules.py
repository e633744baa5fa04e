"""Which tags a resource may have."""

from __future__ import annotations

from dock.aws.cloudwatch.problems import invalid

MOST_TAGS = 50


def merged(given: list[dict[str, str]], known: dict[str, str] | None = None) -> dict[str, str]:
    """The known tags with those given. Raises AwsError for reserved keys and for too many."""
    found = dict(known or {})
    for tag in given:
        if tag["Key"].lower().startswith("aws:"):
            raise invalid("Tag keys that begin with aws: are reserved.")
        found[tag["Key"]] = tag["Value"]
    if len(found) > MOST_TAGS:
        raise invalid(f"A resource has at most {MOST_TAGS} tags.")
    return found
