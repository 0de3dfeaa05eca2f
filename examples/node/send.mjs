import { Svix } from "svix";

const anzol = new Svix(process.env.ANZOL_TOKEN, { serverUrl: "http://127.0.0.1:8071" });

await anzol.application.getOrCreate({ name: "Acme", uid: "acme" });
await anzol.endpoint.create("acme", { uid: "first", url: "http://127.0.0.1:3000/", secret: process.env.WEBHOOK_SECRET });
await anzol.message.create("acme", { eventType: "invoice.paid", payload: { number: 17 } });
