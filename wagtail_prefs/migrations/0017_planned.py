"""How many messages of a topic are planned, as a whole number in a time that people think in.

It takes the place of `messages_a_month`, which no code reads any more. Its column stays where it is: servers of the release
before go on reading it while a new one starts, and it may be empty.
"""

import math

import django.core.validators
from django.db import migrations, models


def planned(a_month):
    """(number, per) of so many messages a month: exact where it can be, else the next number above; None for none."""
    if not a_month or a_month < 0:
        return None
    if a_month == int(a_month):
        return int(a_month), "month"
    return math.ceil(a_month * 12), "year"


def carry_over(apps, schema_editor):
    topic = apps.get_model("wagtail_prefs", "Topic").objects.using(schema_editor.connection.alias)
    for key, a_month in topic.filter(messages_a_month__gt=0).values_list("pk", "messages_a_month"):
        number, per = planned(a_month)
        topic.filter(pk=key).update(planned=number, planned_per=per)


class Migration(migrations.Migration):
    dependencies = [("wagtail_prefs", "0016_again")]

    operations = [
        migrations.AddField(
            model_name="topic",
            name="planned",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How many you mean to send at most, in the time beside. People read the sum over all that "
                "they get. Empty: they read that it comes, and no number.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(1000),
                ],
                verbose_name="planned messages",
            ),
        ),
        migrations.AddField(
            model_name="topic",
            name="planned_per",
            field=models.CharField(
                choices=[("week", "week"), ("month", "month"), ("quarter", "quarter"), ("year", "year")],
                db_default="month",
                default="month",
                max_length=8,
                verbose_name="in each",
            ),
        ),
        migrations.AlterField(
            model_name="topictext",
            name="cadence",
            field=models.CharField(
                blank=True,
                help_text='In plain words, for example "about one mail a week". Empty: said in words from the planned '
                "messages.",
                max_length=255,
                verbose_name="how often",
            ),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField(model_name="topic", name="messages_a_month")],
        ),
    ]
