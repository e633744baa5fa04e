"""What the environment tells the service. Nothing else configures it."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

Port = Annotated[int, Field(ge=1, le=65535)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")]
DatabaseIdentifier = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Secret = Annotated[SecretStr, Field(min_length=1)]


def _truth(value: object) -> object:
    """Only spellings nobody can misread: pydantic's own list ("y", "t", "on") is too generous for a setting."""
    if isinstance(value, str):
        spelling = {"true": True, "1": True, "false": False, "0": False}
        if value.lower() not in spelling:
            raise ValueError("must be true or false")
        return spelling[value.lower()]
    return value


def _words(value: object) -> object:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


Truth = Annotated[bool, BeforeValidator(_truth)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class ConfigurationError(Exception):
    """Every problem of the environment at once. Names variables, never their values."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("the environment is not usable:\n" + "\n".join(f"  - {problem}" for problem in problems))


class _FromEnvironment(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the variables that the fields name (upper case). An empty variable counts as not set.

        Raises ConfigurationError with all problems.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: environ[name.upper()] for name in cls.model_fields if environ.get(name.upper(), "") != ""
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(
                [_problem(item["loc"], item["msg"]) for item in error.errors(include_input=False)]
            ) from None


def _problem(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not location:
        return message
    name = str(location[0]).upper()
    return f"{name} is not set" if message == "Field required" else f"{name}: {message[0].lower()}{message[1:]}"


class DatabaseSettings(_FromEnvironment):
    """Where the database is and who the application is in it."""

    platform: Slug
    environment: Slug
    release: str = "unreleased"
    database_host: Host
    database_port: Port = 5432
    database_name: DatabaseIdentifier
    database_user: DatabaseIdentifier
    database_password: Secret
    database_sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "verify-full"
    pgsslrootcert: str | None = None

    @model_validator(mode="after")
    def _certificates_can_be_verified(self) -> Self:
        # libpq would look in a home directory, which a task does not have, and say so at the first connection only.
        if self.database_sslmode.startswith("verify"):
            if self.pgsslrootcert is None:
                raise ValueError(
                    f"PGSSLROOTCERT is not set: DATABASE_SSLMODE={self.database_sslmode} needs an authority to trust"
                )
            if self.pgsslrootcert != "system" and not os.access(self.pgsslrootcert, os.R_OK):
                raise ValueError("PGSSLROOTCERT names a file that can't be read")
        return self


class MigrationSettings(DatabaseSettings):
    """For `python -m chat.migrate`: the application's settings and the master's."""

    database_master_user: DatabaseIdentifier
    database_master_password: Secret

    @model_validator(mode="after")
    def _application_is_not_the_master(self) -> Self:
        if self.database_master_user == self.database_user:
            raise ValueError(
                "DATABASE_USER and DATABASE_MASTER_USER are the same: the application needs a role of its own"
            )
        return self


class Settings(DatabaseSettings):
    """For the service. Durations in seconds, sizes in MiB."""

    port: Port = 8080
    cache_host: Host
    cache_port: Port = 6379
    cache_tls: Truth = True
    cache_auth_token: Secret | None = None
    ssl_cert_file: str | None = None
    database_pool_size: Annotated[int, Field(ge=1, le=100)] = 10
    drain_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    shutdown_seconds: Annotated[float, Field(ge=1, le=110)] = 20.0
    health_minimum_disk_mb: Annotated[int, Field(ge=0)] = 100
    health_maximum_memory_percent: Annotated[int, Field(ge=1, le=100)] = 95
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    chat_features: Words = ()
    chat_fault: str | None = None

    @model_validator(mode="after")
    def _token_travels_encrypted(self) -> Self:
        if self.cache_auth_token is not None and not self.cache_tls:
            raise ValueError("CACHE_AUTH_TOKEN is set but CACHE_TLS is false: the token would travel in clear text")
        if self.ssl_cert_file is not None and not os.access(self.ssl_cert_file, os.R_OK):
            raise ValueError("SSL_CERT_FILE names a file that can't be read")
        if self.drain_seconds >= self.shutdown_seconds:
            raise ValueError("DRAIN_SECONDS must be shorter than SHUTDOWN_SECONDS")
        return self

    def secrets(self) -> tuple[str, ...]:
        """Values that must never appear in a log."""
        token = self.cache_auth_token
        return (self.database_password.get_secret_value(), *((token.get_secret_value(),) if token else ()))
