"""A change of rights keeps only a session that is still valid.

The trigger of 0004 named the asking session in the revocation although its update had matched no row, because an
earlier revocation had ended that session. Whoever knew only the newer revocation then accepted it again.
"""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("socialapp.accounts.migrations.0004_sessions").TRIGGER
FUNCTION = BEFORE[: BEFORE.index("CREATE TRIGGER")].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
UPDATED = "            WHERE id = kept AND user_id = NEW.id AND rights_version = OLD.rights_version;\n"
CHECKED = f"{UPDATED}        IF NOT FOUND THEN\n            kept := NULL;\n        END IF;\n"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_profile_edited_at")]

    operations = [migrations.RunSQL(FUNCTION.replace(UPDATED, CHECKED), FUNCTION)]
