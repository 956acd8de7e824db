"""What is known of each partition of the log, and when the inbox took each command."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("cqrs", "0008_event_partitions")]
    operations = [
        migrations.CreateModel(
            name="LogGeneration",
            fields=[
                ("partition", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("generation", models.CharField(max_length=32)),
                ("last_id", models.CharField(default="0-0", max_length=41)),
                ("waiting", models.PositiveIntegerField(default=0)),
                ("loss", models.CharField(default="", max_length=200)),
                ("lost_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField("inboxcommand", "kept_at", models.DateTimeField(db_default=Now())),
    ]
