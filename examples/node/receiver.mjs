import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { Webhook } from "svix";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

createServer(async (request, response) => {
  const body = await buffer(request);
  try {
    webhook.verify(body, request.headers);
    console.log("verified:", body.toString());
    response.writeHead(204).end();
  } catch {
    response.writeHead(401).end();
  }
}).listen(3000, "127.0.0.1");
