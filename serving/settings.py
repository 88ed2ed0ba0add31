"""The server's settings, from environment variables with the prefix HMT_."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from config import DEFAULT_OUT
from ecg.preprocessing import FULL_DURATION_S
from ecg.readers import MAX_UPLOAD_BYTES

MULTIPART_OVERHEAD = 100_000  # bytes, of boundaries and part headers
RETRY_AFTER_S = 1


class Settings(BaseSettings):
    """Read from the environment, each with the prefix HMT_."""

    model_config = SettingsConfigDict(env_prefix="HMT_")

    artifacts: Path = Field(DEFAULT_OUT, description="directory of the networks")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    workers: int = Field(1, ge=1, description="processes; two or more replace one that dies")
    hanging_s: int = Field(60, ge=1, description="a worker of several that says nothing for so long is replaced")
    api_key: SecretStr = Field(SecretStr(""), description="required in X-API-Key; empty: none is")
    cors_origins: list[str] = Field([], description='JSON, as ["https://example.org"]; empty: no other site')
    max_body_bytes: int = Field(
        MAX_UPLOAD_BYTES + MULTIPART_OVERHEAD, ge=1, description="of a request with one recording"
    )
    max_batch_bytes: int = Field(100_000_000, ge=1, description="of a request with several, at most max_held_bytes")
    max_held_bytes: int = Field(500_000_000, ge=1, description="of all bodies in memory, in each process, before 429")
    max_duration_s: float = Field(300, ge=FULL_DURATION_S, description="of one recording")
    max_batch: int = Field(64, ge=1, description="recordings in one request")
    receiving: int = Field(1000, ge=1, description="requests whose body is arriving, in each process, before 429")
    concurrency: int = Field(2, ge=1, description="recordings diagnosed at a time, by each process")
    threads: int = Field(2, ge=1, description="that work on each of them; 1 is best where all cores are always busy")
    waiting: int = Field(32, ge=0, description="received requests that may wait, in each process, before 429")
    time_limit_s: float = Field(30, gt=0, description="for receiving a request, and again for diagnosing it")

    @model_validator(mode="after")
    def one_body_can_be_held(self) -> "Settings":
        if self.max_held_bytes < self.max_body_bytes:
            raise ValueError("max_held_bytes must be at least max_body_bytes, or the largest body is always rejected")
        self.max_batch_bytes = min(self.max_batch_bytes, self.max_held_bytes)
        return self


def read_settings() -> Settings:
    """From the environment; ends the program with a sentence if a value is wrong."""
    try:
        return Settings()
    except (ValidationError, SettingsError) as error:
        raise SystemExit(f"error: a setting HMT_... in the environment is wrong: {error}") from error
