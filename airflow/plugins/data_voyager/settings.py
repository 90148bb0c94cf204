"""The `[data_voyager]` options, read when a task runs and never when a DAG is parsed."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.configuration import conf
from airflow.exceptions import AirflowFailException

SECTION = "data_voyager"


@dataclass(frozen=True)
class Settings:
    """Where the tasks run, and under which names."""

    cluster: str
    subnets: list[str]
    security_groups: list[str]
    assign_public_ip: bool
    log_prefix: str  # `<prefix>-<task>` is the task definition's family, `/<prefix>/<task>` the log group
    poll_seconds: int

    @classmethod
    def read(cls) -> Settings:
        return cls(
            cluster=required("cluster"),
            subnets=words(required("subnets")),
            security_groups=words(required("security_groups")),
            assign_public_ip=conf.getboolean(SECTION, "assign_public_ip", fallback=False),
            log_prefix=required("log_prefix"),
            poll_seconds=conf.getint(SECTION, "poll_seconds", fallback=6),
        )

    def network_configuration(self) -> dict:
        return {
            "awsvpcConfiguration": {
                "subnets": self.subnets,
                "securityGroups": self.security_groups,
                "assignPublicIp": "ENABLED" if self.assign_public_ip else "DISABLED",
            }
        }


def athletes() -> list[str | None]:
    """The athletes to extract; `[None]`, the one that the token names, where the option is not set."""
    return words(optional("athletes")) or [None]


def required(option: str) -> str:
    """The option's value; without one no retry helps, so the task fails at once."""
    if value := optional(option):
        return value
    name = f"AIRFLOW__{SECTION}__{option}".upper()
    raise AirflowFailException(f"set the Airflow option [{SECTION}] {option} (on a laptop the variable {name})")


def optional(option: str) -> str:
    return (conf.get(SECTION, option, fallback="") or "").strip()


def words(value: str) -> list[str]:
    return [word for part in value.split(",") if (word := part.strip())]
