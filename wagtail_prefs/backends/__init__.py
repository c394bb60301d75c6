"""The adapters to CRMs and marketing platforms. `registry.backends` holds the configured ones."""
