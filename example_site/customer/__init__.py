"""The customer's own site: static files on another origin, under a strict CSP, that embed the center."""
