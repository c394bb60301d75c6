"""Mail of Django code: asked about, given its headers, sent, put off or handed to a digest, and noted."""
