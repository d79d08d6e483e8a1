"""What stands between the network and the pages: whose requests are let in, and what browsers may do with answers."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Everything comes from this server; forms go to it alone; no other page may frame it.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; media-src 'self'; style-src 'self'; script-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # a participant's address must not leave; "no-referrer" would blank Origin too
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class Protection:
    """Middleware: refuses foreign hosts and origins, and adds security headers to every answer.

    A request must name `localhost`, an IP address or one of `hosts` as its host: a foreign name that was made to point
    here (DNS rebinding) gets nothing. A POST must come from a page of the same host.

    Args:
        app: What is protected.
        hosts: Names under which the study is published.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()):
        self._app = app
        self._hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_protected)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if not self._known(host):
            return PlainTextResponse("Unknown host. Whoever serves this study has to name it (--public-name).", 400)
        if method == "POST" and not _same_site(headers, host):
            return PlainTextResponse("This form was sent from another site.", 403)
        return None

    def _known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _same_site(headers: Headers, host: str) -> bool:
    """Whether a form comes from a page of this host. Browsers say so; programs that do not are no danger to users."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == host.lower()
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
