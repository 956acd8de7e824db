"""A user's commands in the inbox are found by an index: their bytes are limited."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cqrs", "0009_log_generations")]
    operations = [
        migrations.AddIndex("inboxcommand", models.Index(fields=["actor_id"], name="inbox_actor")),
    ]
