"""The demo brand's own pages."""
