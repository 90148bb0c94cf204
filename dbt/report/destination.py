"""Where the page goes: a directory or a bucket."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from errors import Failed, Refused

NAME = "index.html"


class Directory:
    """A directory; the page appears in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> None:
        """Says whether a page could be written, without writing one."""
        nearest = next(place for place in (self._path, *self._path.parents) if place.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
            raise Refused(f"REPORT_URL: cannot write below {nearest}")

    def write(self, page: bytes) -> str:
        """Writes the page and gives its address."""
        self.check()
        self._path.mkdir(parents=True, exist_ok=True)
        target = self._path / NAME
        unfinished = target.with_suffix(".unfinished")
        unfinished.write_bytes(page)
        unfinished.replace(target)
        return target.as_uri()


class Bucket:
    """An S3 bucket, at any endpoint that the SDK's variables name."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config

        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        local = urlsplit(endpoint).hostname in ("localhost", "127.0.0.1", "::1")
        self._bucket = bucket
        self._key = "/".join(part for part in (prefix, NAME) if part)
        # boto3 reads AWS_DEFAULT_REGION only, the other SDKs read AWS_REGION
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        self._s3 = boto3.client(
            "s3", region_name=region, config=Config(s3={"addressing_style": "path"}) if local else None
        )

    def check(self) -> None:
        """Says whether the bucket is there."""
        self._call("look at", lambda: self._s3.head_bucket(Bucket=self._bucket))

    def write(self, page: bytes) -> str:
        """Writes the page and gives its address."""
        put = {"Bucket": self._bucket, "Key": self._key, "Body": page}
        self._call(
            "write to",
            lambda: self._s3.put_object(**put, ContentType="text/html; charset=utf-8", CacheControl="no-cache"),
        )
        return f"s3://{self._bucket}/{self._key}"

    def _call(self, verb: str, request) -> None:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

        what = f"{verb} bucket {self._bucket} of REPORT_URL"
        try:
            request()
        except (NoCredentialsError, NoRegionError) as error:
            raise Refused(f"{what}: {error}") from None
        except ClientError as error:
            refused = error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403, 404)
            raise (Refused if refused else Failed)(f"{what}: {error}") from None
        except BotoCoreError as error:
            raise Failed(f"{what}: {error}") from None


def open_destination(url: str | None) -> Directory | Bucket:
    """The place that REPORT_URL names."""
    if not url:
        raise Refused("REPORT_URL is not set; write file:///absolute/directory or s3://bucket/prefix")
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return Directory(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return Bucket(parts.netloc, parts.path.strip("/"))
    raise Refused(f"REPORT_URL is '{url}'; write file:///absolute/directory or s3://bucket/prefix")
