from django.db import migrations

#: A decision names the record behind it. With the id in the index of (contact, sequence), PostgreSQL need not read the
#: record, whose body is large, from the table. Django's `UniqueConstraint(include=...)` would leave SQLite without any.
_CONSTRAINT = "ALTER TABLE wagtail_prefs_record DROP CONSTRAINT prefs_record_seq, ADD CONSTRAINT prefs_record_seq UNIQUE (contact_ref, seq)"


def cover(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"{_CONSTRAINT} INCLUDE (id)")


def uncover(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(_CONSTRAINT)


class Migration(migrations.Migration):
    dependencies = [("wagtail_prefs", "0002_core")]

    operations = [migrations.RunPython(cover, uncover)]
