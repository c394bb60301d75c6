"""A runnable Wagtail site with demo content, a customer's site that embeds a center, and a small CRM."""
