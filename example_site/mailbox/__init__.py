"""The demo's mail server: takes every mail that the site sends and shows it on a web page."""
