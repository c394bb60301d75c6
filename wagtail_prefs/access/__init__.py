"""Getting in without a login: links, one-time codes, sessions."""
