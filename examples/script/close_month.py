import sys

from events import MonthClosed, month_closed, webhooks

month = sys.argv[1]
message = webhooks.to("acme", key=f"closed-{month}").send_sync(month_closed, MonthClosed(month=month))
print(message.id, "again" if message.duplicate else "new")
