"""What a page must not do, noted while a test goes on: complain, break a policy, tell a secret, leave a cookie."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

#: Chromium says violations of a policy in the console anyway; the event also tells those of a report-only one.
_TELL = """
addEventListener('securitypolicyviolation', (event) =>
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""


@dataclass
class Watch:
    """Listens to every page of a context from its beginning."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.add_init_script(_TELL)
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("request", self._request)

    def _request(self, request: Request) -> None:
        self.requests.append(request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def sent_to(self, origin: str) -> str:
        """All that the browser told a server: lines of addresses and headers."""
        found = [request for request in self.requests if request.url.startswith(f"{origin}/")]
        assert found, f"nothing was sent to {origin}"
        # A fragment is never sent.
        return "\n".join(
            f"{request.method} {request.url.partition('#')[0]} {request.all_headers()}" for request in found
        )

    def in_reach(self, page: Page) -> str:
        """All that a script of the host page can read of where the visitor came from, and of what the tab keeps."""
        told: str = page.evaluate(
            """() => JSON.stringify([
              location.href, document.referrer, document.cookie, history.state,
              performance.getEntries().map((entry) => entry.name),
              Object.entries(sessionStorage), Object.entries(localStorage),
            ])"""
        )
        return told
