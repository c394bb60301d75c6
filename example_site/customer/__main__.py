"""`python -m example_site.customer`: serves what `prefs_demo` wrote, on PORT+1."""

from __future__ import annotations

from pathlib import Path

from .. import place
from ..loopback import Request, Response, problem, serve, static

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def csp(site: str) -> str:
    """What a careful site sends. The element needs nothing but its script and its API."""
    return (
        f"default-src 'none'; script-src {site}; style-src 'self'; img-src 'self'; connect-src {site}; "
        "require-trusted-types-for 'script'; trusted-types 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


class StaticSite:
    """Answers with the files of a folder, and with nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def __call__(self, request: Request) -> Response:
        path = (self._folder / request.path.lstrip("/")).resolve()
        if path.is_dir() and request.path.endswith("/"):
            path /= "index.html"
        if request.method != "GET" or not path.is_relative_to(self._folder) or not path.is_file():
            return problem(404, "There is no such page.")
        return static(path, TYPES.get(path.suffix, "application/octet-stream"))


def main() -> None:
    here = place.current()
    serve(StaticSite(place.var() / "customer"), here.customer_port, csp=csp(here.site))


if __name__ == "__main__":
    main()
