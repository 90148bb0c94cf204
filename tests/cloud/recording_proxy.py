"""Stands between a program and its endpoints, and keeps which AWS call came with which access key."""

from __future__ import annotations

import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "expect"}


class Proxy:
    """Forwards each call to its service's endpoint: ECS and logs to one, all others to another."""

    def __init__(self, default: str, ecs: str) -> None:
        self.endpoints = {"ecs": ecs, "logs": ecs}
        self.default = default
        self.calls: list[dict] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - self is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key, service = signer(self.headers.get("Authorization", ""))
                proxy.calls.append(call(key, service, self.command, self.path, self.headers, body))
                to = urlsplit(proxy.endpoints.get(service, proxy.default))
                upstream = http.client.HTTPConnection(to.hostname, to.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                upstream.request(self.command, self.path, body, headers | {"Host": to.netloc})
                answer = upstream.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(content)
                upstream.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - http.server's names

            def log_message(self, *_) -> None:
                pass

        return Handler


def signer(authorization: str) -> tuple[str, str]:
    """Access key and service of an AWS4 signature."""
    found = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", authorization)
    return (found[1], found[2]) if found else ("", "")


def call(key: str, service: str, method: str, path: str, headers, body: bytes) -> dict:
    """What the call asks for, by the names of AWS's API."""
    agent = headers.get("User-Agent", "")
    if target := headers.get("X-Amz-Target"):
        operation, request = target.rsplit(".", 1)[1], json.loads(body or b"{}")
    elif service == "s3":
        operation, request = s3(method, path, headers)
    else:  # the query protocol
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        operation, request = form.pop("Action", f"{method} {path}"), form
    return {"key": key, "agent": agent, "service": service, "operation": operation, "request": request}


def s3(method: str, path: str, headers) -> tuple[str, dict]:
    """Operation and request of a path-style S3 call."""
    parts = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    of_bucket = {"Bucket": bucket}
    if not key:
        if method == "GET" and query.get("list-type") == "2":
            return "ListObjectsV2", of_bucket | {"Prefix": query.get("prefix", "")}
        names = {"GET": "GetBucket", "HEAD": "HeadBucket", "PUT": "CreateBucket", "POST": "DeleteObjects"}
        return names.get(method, method) + ("Versions" if "versions" in query else ""), of_bucket
    if "uploadId" in query or "uploads" in query:
        return f"{method}Multipart", of_bucket | {"Key": key}
    copied = method == "PUT" and headers.get("x-amz-copy-source")
    names = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
    return "CopyObject" if copied else names.get(method, method), of_bucket | {"Key": key}
