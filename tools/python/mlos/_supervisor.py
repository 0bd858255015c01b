"""The supervisor's control socket: HTTP/1.1 and JSON, docs/reference/http.md."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import stat
import urllib.parse
from typing import Any

# For an answer of a supervisor on the same machine; it is asked in the program's own threads.
TIMEOUT_SECONDS = 5.0


class SupervisorError(RuntimeError):
    """The supervisor refused: `status` of HTTP, its stable word `code`, and `details`."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, str]) -> None:
        super().__init__(f"{message} ({code})")
        self.status, self.code, self.details = status, code, details


def socket_path() -> str | None:
    """Where the control socket is, as the command line looks for it; None when there is none."""
    given = os.environ.get("MLOS_SOCKET")
    user = os.getuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if given:
        folders = [os.path.dirname(given)]
    elif user == 0:
        folders = ["/run/mlos"]
    else:
        folders = [f"{runtime}/mlos"] if runtime else []
        folders += [f"/run/user/{user}/mlos", f"/tmp/mlos-{user}", "/run/mlos"]
    for folder in folders:
        path = os.path.join(folder, "control.sock")
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.stat(path).st_mode):
                return path
    return None


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("mlos", timeout=TIMEOUT_SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Supervisor:
    """Asks one supervisor. Every call connects anew: there are few, and a supervisor may have been restarted."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def find(cls) -> Supervisor | None:
        """The one of this process's user or of the system, if its socket is there."""
        path = socket_path()
        return cls(path) if path else None

    def request(self, method: str, route: str, body: object = None) -> Any:
        """The answer's JSON. Raises SupervisorError for a refusal, OSError when nobody answers."""
        connection = _Connection(self.path)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, route, text, {} if text is None else {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
        except (http.client.HTTPException, ValueError) as problem:
            raise OSError(f"what listens at {self.path} is no supervisor: {problem}") from problem
        finally:
            connection.close()
        if response.status >= 300:
            error = (answer or {}).get("error", {})
            raise SupervisorError(
                response.status, error.get("code", "internal"), error.get("message", response.reason), error.get("details", {}))
        return answer

    def status(self) -> dict[str, Any]:
        return self.request("GET", "/api/v1/status")

    def totals(self) -> dict[str, Any]:
        """Unloads it counted; needs its journal."""
        return self.request("GET", "/api/v1/totals")

    def settings(self) -> dict[str, Any]:
        """Settings in force, by key."""
        return {row["key"]: row["value"] for row in self.request("GET", "/api/v1/config")["settings"]}

    def set(self, key: str, value: str | None) -> None:
        """Changes a setting for good; None takes an earlier change back."""
        route = "/api/v1/config/" + urllib.parse.quote(key, safe="")
        if value is not None:
            self.request("PUT", route, {"value": value})
            return
        try:
            self.request("DELETE", route)
        except SupervisorError as error:
            if error.status != 404:
                raise


def package_key(package: str, setting: str) -> str:
    """The dotted key of a package's setting, with the name in quotes where it has dots."""
    return f'unloading.packages."{package}".{setting}' if "." in package else f"unloading.packages.{package}.{setting}"
