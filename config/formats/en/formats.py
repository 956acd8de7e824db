"""As in the logs, so that operators can compare what the admin shows with them. Times are UTC."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i:s"
