"""When a profile was last edited: a command that is applied late must not undo it. Unknown for earlier edits."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_sessions")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="profile_edited_at",
            field=models.DateTimeField(editable=False, null=True),
        )
    ]
