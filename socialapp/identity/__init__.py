"""Who is asking: tokens and their check. It knows no tables, so that it can run apart from Django's pools."""
