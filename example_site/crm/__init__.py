"""A small CRM, to see the far end: it receives signed webhooks and shows people what it knows."""
