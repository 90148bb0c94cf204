"""The four arrows that Airflow starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowSkipException

from data_voyager.ecs_task import EcsTaskOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

_CHANGES = ("inserted", "updated", "deleted", "columns_added", "columns_widened")


class StravaToS3Operator(EcsTaskOperator):
    """Lands one athlete's activities: `strava-extract api`.

    :param athlete_id: whose; none where only one athlete has a token
    :param streams: which streams; none: all that the program takes by default
    :param max_requests: stop after so many requests
    :param max_wait: longest wait for a limit, as the program reads it (`15m`)
    """

    task_name = "strava-extract"
    template_fields: Sequence[str] = (
        *EcsTaskOperator.template_fields,
        "athlete_id",
        "streams",
        "max_requests",
        "max_wait",
    )

    def __init__(
        self,
        *,
        athlete_id: str | None = None,
        streams: Sequence[str] | None = None,
        max_requests: int | None = None,
        max_wait: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.athlete_id = athlete_id
        self.streams = streams
        self.max_requests = max_requests
        self.max_wait = max_wait

    def command(self) -> list[str]:
        return [
            "api",
            *option("--streams", ",".join(self.streams or [])),
            *option("--max-requests", self.max_requests),
            *option("--max-wait", self.max_wait),
        ]

    def environment(self) -> dict[str, str]:
        return {"STRAVA_ATHLETE_ID": str(self.athlete_id)} if self.athlete_id else {}


class S3ToSupabaseOperator(EcsTaskOperator):
    """Loads everything that landed and is not loaded yet: `strava-load sync`.

    :param source: `strava` or `weather`; none: both
    :param streams: which streams; none: all
    :param skip_when_unchanged: end as skipped, without an asset event, where no table changed
    """

    task_name = "strava-load"
    template_fields: Sequence[str] = (*EcsTaskOperator.template_fields, "source", "streams")

    def __init__(
        self,
        *,
        source: str | None = None,
        streams: Sequence[str] | None = None,
        skip_when_unchanged: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.streams = streams
        self.skip_when_unchanged = skip_when_unchanged

    def command(self) -> list[str]:
        return ["sync", *option("--source", self.source), *option("--streams", ",".join(self.streams or []))]

    def _told(self, context: Context) -> dict[str, Any] | None:
        closing = super()._told(context)
        tables = (closing or {}).get("tables", {}).values()
        if self.skip_when_unchanged and closing and not any(t.get(kind) for t in tables for kind in _CHANGES):
            context["ti"].xcom_push(key="return_value", value=closing)
            raise AirflowSkipException("no table changed")
        return closing


class DbtOperator(EcsTaskOperator):
    """Runs dbt, or draws the page: `dbt build`, `dbt report`.

    :param arguments: what follows the image's entry point
    """

    task_name = "dbt"
    template_fields: Sequence[str] = (*EcsTaskOperator.template_fields, "arguments")

    def __init__(self, *, arguments: Sequence[str] = ("build",), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments

    def command(self) -> list[str]:
        return list(self.arguments)


class WeatherBackfillOperator(EcsTaskOperator):
    """Sends the weather of every activity that has none yet: `weather-producer backfill`.

    :param max_wait: longest wait for a limit, as the program reads it (`15m`)
    """

    task_name = "weather-producer"
    template_fields: Sequence[str] = (*EcsTaskOperator.template_fields, "max_wait")

    def __init__(self, *, max_wait: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_wait = max_wait

    def command(self) -> list[str]:
        return ["backfill", *option("--max-wait", self.max_wait)]


def option(name: str, value: object) -> list[str]:
    """`[name, value]`, or nothing where there is no value."""
    return [name, str(value)] if value not in (None, "") else []
