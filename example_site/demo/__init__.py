"""The demo's content: `manage.py prefs_demo`."""
