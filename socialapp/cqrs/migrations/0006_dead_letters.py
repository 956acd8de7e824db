"""What operators decide about dead letters, and by what kind of error letters are grouped."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

from socialapp.cqrs.models import ErrorKind

STATES = [("buried", "Buried"), ("requeuing", "Requeuing"), ("requeued", "Requeued"), ("discarded", "Discarded")]
ACTIONS = [
    ("buried", "Buried"), ("requeued", "Requeued"), ("edited and requeued", "Edited"), ("discarded", "Discarded"),
]


class Migration(migrations.Migration):
    dependencies = [("cqrs", "0004_inbox")]
    operations = [
        migrations.AddField(
            "deadletter",
            "kind",
            models.GeneratedField(
                expression=ErrorKind("error"), output_field=models.CharField(max_length=500), db_persist=True
            ),
        ),
        migrations.AddField(
            "deadletter", "state", models.CharField(choices=STATES, db_default="buried", max_length=10)
        ),
        migrations.AddIndex("deadletter", models.Index(fields=["state", "kind"], name="dead_letter_by_kind")),
        migrations.CreateModel(
            name="DeadLetterStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("action", models.CharField(choices=ACTIONS, max_length=20)),
                ("by", models.CharField(max_length=150)),
                ("actor_id", models.UUIDField(null=True)),
                ("reason", models.TextField()),
                ("changes", models.JSONField(null=True)),
                ("at", models.DateTimeField(db_default=Now())),
                (
                    "letter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="steps", to="cqrs.deadletter"
                    ),
                ),
            ],
        ),
    ]
