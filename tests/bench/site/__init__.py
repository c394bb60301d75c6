"""The site under load: the plugin as a project would install it, and its peers on the same tables."""
