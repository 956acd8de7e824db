"""Sessions of sign-ins, and the revocations that a trigger of the users' table records."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# Whatever changes a row, the ORM, the admin, a management command or psql, comes past this trigger.
TRIGGER = """
CREATE FUNCTION accounts_revoke() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept uuid := nullif(current_setting('socialapp.kept_session', true), '')::uuid;
    rehashed boolean := coalesce(current_setting('socialapp.rehashing', true), '') = 'on';
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO accounts_revocation (user_id, version) VALUES (OLD.id, 9223372036854775807);
        RETURN OLD;
    END IF;
    -- An old copy of the row that is written back does not lower it.
    NEW.rights_version := OLD.rights_version;
    IF (NEW.password <> OLD.password AND NOT rehashed) OR (OLD.is_active AND NOT NEW.is_active)
            OR (OLD.is_staff AND NOT NEW.is_staff) OR (OLD.is_superuser AND NOT NEW.is_superuser) THEN
        NEW.rights_version := OLD.rights_version + 1;
        UPDATE accounts_session SET rights_version = NEW.rights_version
            WHERE id = kept AND user_id = NEW.id AND rights_version = OLD.rights_version;
        INSERT INTO accounts_revocation (user_id, version, kept_id) VALUES (NEW.id, NEW.rights_version, kept);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER revoke_when_rights_change BEFORE UPDATE ON accounts_user FOR EACH ROW
    WHEN (OLD.password IS DISTINCT FROM NEW.password OR OLD.is_active IS DISTINCT FROM NEW.is_active
          OR OLD.is_staff IS DISTINCT FROM NEW.is_staff OR OLD.is_superuser IS DISTINCT FROM NEW.is_superuser
          OR OLD.rights_version IS DISTINCT FROM NEW.rights_version)
    EXECUTE FUNCTION accounts_revoke();
CREATE TRIGGER revoke_when_deleted AFTER DELETE ON accounts_user FOR EACH ROW EXECUTE FUNCTION accounts_revoke();
"""
WITHOUT_TRIGGER = """
DROP TRIGGER revoke_when_rights_change ON accounts_user;
DROP TRIGGER revoke_when_deleted ON accounts_user;
DROP FUNCTION accounts_revoke();
"""
# A family that had a token revoked has ended: one that is not was issued while it was being revoked.
SESSIONS_OF_TOKENS = """
INSERT INTO accounts_session (id, user_id, rights_version, started_at, ends_at, ended_at)
SELECT family, (array_agg(user_id))[1], 0, min(issued_at), min(issued_at) + interval '90 days', max(revoked_at)
FROM accounts_refreshtoken GROUP BY family
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_email_verification")]

    operations = [
        migrations.AddField("user", "rights_version", models.BigIntegerField(db_default=0, default=0, editable=False)),
        migrations.CreateModel(
            name="Session",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("rights_version", models.BigIntegerField()),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ends_at", models.DateTimeField(db_index=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("network", models.CharField(db_default="", default="", max_length=32)),
                (
                    "user",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Revocation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user_id", models.UUIDField()),
                ("version", models.BigIntegerField(db_default=0)),
                ("session_id", models.UUIDField(null=True)),
                ("kept_id", models.UUIDField(null=True)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ("is_shared", models.BooleanField(db_default=False)),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("is_shared", False)), fields=["id"], name="revocation_to_share")
                ]
            },
        ),
        migrations.RunSQL(SESSIONS_OF_TOKENS, migrations.RunSQL.noop),
        migrations.RunSQL(TRIGGER, WITHOUT_TRIGGER),
    ]
