"""A headless Chromium, spoken to in its own protocol: it opens a page, says what that logged and asked for."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import websocket

BINARIES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-port=0 --remote-allow-origins=*"
).split()
DEADLINE_SECONDS = 60


class Browser:
    """Use as a context; the process and its profile are gone afterwards."""

    def __enter__(self) -> Browser:
        binary = next((found for name in BINARIES if (found := shutil.which(name))), None)
        if binary is None:
            raise RuntimeError(f"none of {', '.join(BINARIES)} is installed; run `make setup`")
        self._profile = Path(tempfile.mkdtemp(prefix="data-voyager-browser-"))
        self._process = subprocess.Popen(
            [binary, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port_file = self._profile / "DevToolsActivePort"
        until(lambda: port_file.exists() and port_file.read_text().count("\n") >= 1, "Chromium to open its port")
        port, path = port_file.read_text().split()[:2]
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=DEADLINE_SECONDS)
        self._last_id = 0
        self._session = None
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters) -> dict:
        """Sends a command and waits for its answer; events on the way are kept."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url: str, width: int, scheme: str, height: int = 900) -> None:
        """Opens `url` at that width, light or dark, and waits until its charts are drawn."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)
        until(lambda: self.evaluate("document.readyState") == "complete", f"{url} to load")
        drawn = "!document.getElementById('charts') || !!document.documentElement.dataset.drawn"
        try:
            until(lambda: self.evaluate(drawn), "the charts to be drawn")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the console says {self.complaints()}") from None

    def evaluate(self, expression: str) -> object:
        """The value of a JavaScript expression on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def complaints(self) -> list[str]:
        """Errors and warnings on the console, and exceptions that nobody caught."""
        self.evaluate("new Promise(done => setTimeout(done, 50))")
        found = []
        for event in self.events:
            match event.get("method"), event.get("params", {}):
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    found.append(f"exception: {details['text']} {details.get('exception', {}).get('description', '')}")
                case "Runtime.consoleAPICalled", {"type": "error" | "warning" | "assert" as kind, "args": told}:
                    found.append(f"{kind}: {[t.get('value', t.get('description')) for t in told]}")
                case "Log.entryAdded", {"entry": {"level": "error" | "warning" as level, "text": text}}:
                    found.append(f"{level}: {text}")
        return found

    def requests(self) -> list[str]:
        """Every address that the page asked for, its own and data: aside."""
        asked = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [
            p["request"]["url"]
            for p in asked
            if p["type"] != "Document" and not p["request"]["url"].startswith("data:")
        ]

    def picture(self, path: Path) -> None:
        """Takes the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, fromSurface=True)
        path.write_bytes(base64.b64decode(shot["data"]))


def until(reached, what: str) -> None:
    """Waits for an effect, up to a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {DEADLINE_SECONDS} s for {what}")
        time.sleep(0.05)
