"""A receiver that knows nothing of Anzol: FastAPI, and the reference library of Standard Webhooks."""

import os

from fastapi import FastAPI, HTTPException, Request
from standardwebhooks import Webhook, WebhookVerificationError

app = FastAPI()
webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen: set[str] = set()  # in your app, a table: an event may come twice


@app.post("/webhooks", status_code=204)
async def receive(request: Request) -> None:
    try:
        data = webhook.verify(await request.body(), dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(401, "This is not from them.") from error
    message_id = request.headers["webhook-id"]
    if message_id not in seen:
        seen.add(message_id)
        print(request.headers["webhook-event"], data, flush=True)
