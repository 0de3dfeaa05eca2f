// The npm SDK, unmodified, through the whole of what an application does; prints what it saw as one line of JSON.
//
//   node workflow.mjs '{"address": ..., "token": ..., "name": ...}'
//
// The receiver is its own, on loopback; it answers the first request with 500. An application `many` is there already.
import { createServer } from "node:http";
import { Svix, Webhook, ApiException } from "svix";

const PATIENCE = 20_000; // milliseconds
const given = JSON.parse(process.argv[2]);
const app = given.name;
const since = new Date(Date.now() - 3_600_000);
const speaking = (token) => new Svix(token, { serverUrl: given.address });
const svix = speaking(given.token);
const saw = {};
const requests = [];

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  requests.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
  response.writeHead(requests.length === 1 ? 500 : 204).end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const receiver = `http://127.0.0.1:${server.address().port}/in`;

async function until(ask, holds) {
  for (const end = Date.now() + PATIENCE; ; ) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (Date.now() > end) throw new Error(`waited in vain: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function refused(promise) {
  const error = await promise.then(() => undefined, (error) => error);
  if (!(error instanceof ApiException)) throw new Error(`not refused as it should be: ${error}`);
  return { status: error.code, body: error.body };
}

const arrived = (count) => until(async () => requests, (all) => all.length >= count);
const verify = (key, request) => new Webhook(key).verify(request.body, request.headers);
const stats = (holds) => until(() => svix.endpoint.getStats(app, "one"), holds);
const finished = async (begun) => {
  const task = await until(() => svix.backgroundTask.get(begun.id), (task) => task.status === "finished");
  return [task.task, task.data];
};

async function applications() {
  const made = await svix.application.create({ name: "A", uid: app, metadata: { a: "b" } });
  const same = await svix.application.getOrCreate({ name: "A", uid: app });
  const put = await svix.application.upsert(app, { name: "B" });
  const patched = await svix.application.patch(app, { throttleRate: 5 });
  const listed = await svix.application.list({ limit: 10, order: "descending" });
  return {
    same: made.id === same.id && made.id === put.id && made.createdAt instanceof Date,
    uid: made.uid,
    metadata: [made.metadata, put.metadata],
    patched: [patched.name, patched.throttleRate],
    listed: listed.data.map((one) => one.uid),
    done: listed.done,
  };
}

async function eventTypes() {
  const kinds = svix.eventType;
  await kinds.create({ name: "invoice.paid", description: "D" });
  const put = await kinds.upsert("invoice.paid", { description: "E", groupName: "g" });
  const patched = await kinds.patch("invoice.paid", { schemas: { 1: { examples: [{ x: 1 }] } } });
  const spec = { openapi: "3.1.0", webhooks: { "invoice.void": { post: { description: "V" } } } };
  const dry = await kinds.importOpenapi({ spec, dryRun: true });
  const wet = await kinds.importOpenapi({ spec });
  await kinds.delete("invoice.void");
  const archived = await kinds.get("invoice.void");
  const listed = await kinds.list({ includeArchived: true });
  return {
    put: [put.description, put.groupName],
    patched: patched.schemas,
    dry: dry.data.toModify.map((one) => one.name),
    wet: wet.data.modified,
    archived: archived.archived,
    listed: listed.data.map((one) => one.name),
  };
}

async function endpoints() {
  const made = await svix.endpoint.create(app, { url: receiver, uid: "one", eventTypes: ["a"], channels: ["eu"] });
  const put = await svix.endpoint.upsert(app, "one", { url: receiver });
  const off = await svix.endpoint.patch(app, "one", { disabled: true });
  const on = await svix.endpoint.patch(app, made.id, { disabled: false });
  await svix.endpoint.setHeaders(app, "one", { headers: { "x-z": "1" } });
  await svix.endpoint.patchHeaders(app, "one", { headers: { "x-team": "blue" }, deleteHeaders: ["x-z"] });
  const headers = await svix.endpoint.getHeaders(app, "one");
  const listed = await svix.endpoint.list(app);
  return {
    same: made.id === put.id,
    channels: [made.channels, put.channels ?? null],
    eventTypes: [made.eventTypes, put.eventTypes ?? null],
    disabled: [made.disabled, off.disabled, on.disabled],
    headers: headers.headers,
    listed: listed.data.map((one) => one.uid),
  };
}

async function messages() {
  const sent = await svix.message.create(app, { eventType: "invoice.paid", eventId: "order-1", payload: { n: 1 } });
  const again = await svix.message.create(app, { eventType: "invoice.paid", eventId: "order-1", payload: { n: 1 } });
  await stats((all) => all.fail === 1);
  const secret = await svix.endpoint.getSecret(app, "one");
  const [request] = await arrived(1);
  verify(secret.key, request);
  let forged = false;
  try {
    verify(secret.key, { ...request, body: request.body + " " });
  } catch {
    forged = true;
  }
  const key = { idempotencyKey: "key-1" };
  const body = { eventType: "invoice.paid", payload: { n: 2 } };
  const first = await svix.message.create(app, body, key);
  const second = await svix.message.create(app, body, key);
  return {
    same: [sent.id === again.id, first.id === second.id, sent.id === request.headers["webhook-id"]],
    body: JSON.parse(request.body),
    header: request.headers["x-team"],
    forged,
    conflicts: [
      (await refused(svix.message.create(app, { ...body, payload: { n: 3 } }, key))).status,
      (await refused(svix.message.create(app, { ...body, eventId: "order-1" }))).status,
    ],
    found: (await svix.message.get(app, "order-1", { withContent: true })).payload,
  };
}

async function attempts() {
  const task = await finished(await svix.endpoint.recover(app, "one", { since }));
  const tally = await stats((all) => all.success === 2);
  await svix.messageAttempt.resend(app, "order-1", "one");
  const ofEndpoint = await until(() => svix.messageAttempt.listByEndpoint(app, "one"), (all) => all.data.length === 4);
  const ofMessage = await svix.messageAttempt.listByMsg(app, "order-1");
  const failed = await svix.messageAttempt.listByMsg(app, "order-1", { status: 2 });
  const one = await svix.messageAttempt.get(app, "order-1", failed.data[0].id);
  const toEndpoint = await svix.messageAttempt.listAttemptedMessages(app, "one");
  const reached = await svix.messageAttempt.listAttemptedDestinations(app, "order-1");
  return {
    task,
    tally: [tally.success, tally.fail],
    endpoint: ofEndpoint.data.map((one) => one.status).sort(),
    message: ofMessage.data.map((one) => one.status),
    failed: failed.data.map((one) => one.responseStatusCode),
    one: [one.response, one.timestamp instanceof Date],
    messages: toEndpoint.data.map((one) => [one.eventId ?? null, one.statusText]),
    reached: reached.data.map((one) => [one.uid, one.status]),
  };
}

async function rotation() {
  const old = (await svix.endpoint.getSecret(app, "one")).key;
  await svix.endpoint.rotateSecret(app, "one", {});
  const fresh = (await svix.endpoint.getSecret(app, "one")).key;
  const example = await svix.endpoint.sendExample(app, "one", { eventType: "invoice.paid" });
  const request = (await arrived(5))[4];
  verify(old, request);
  verify(fresh, request);
  return { differ: old !== fresh, example: example.payload, arrived: JSON.parse(request.body) };
}

async function replays() {
  await svix.endpoint.create(app, { url: receiver, uid: "late" });
  const missing = await finished(await svix.endpoint.replayMissing(app, "late", { since }));
  const bulk = await finished(await svix.endpoint.bulkReplay(app, "late", { since, eventTypes: ["nothing.here"] }));
  return { missing, bulk };
}

async function access() {
  const access = await svix.authentication.appPortalAccess(app, {});
  const portal = speaking(access.token);
  const listed = await portal.endpoint.list(app);
  const forbidden = await refused(portal.application.list());
  await svix.authentication.expireAll(app, {});
  const ended = await until(
    () => portal.endpoint.list(app).then(() => 200, (error) => error.code),
    (status) => status !== 200,
  );
  return { listed: listed.data.map((one) => one.uid), forbidden: forbidden.status, ended };
}

async function paging() {
  const forwards = [await svix.message.list("many", { limit: 250 })];
  while (!forwards.at(-1).done) {
    forwards.push(await svix.message.list("many", { limit: 250, iterator: forwards.at(-1).iterator }));
  }
  const back = [forwards.at(-1)];
  while (back.length < forwards.length) {
    back.push(await svix.message.list("many", { limit: 250, iterator: back.at(-1).prevIterator }));
  }
  const ids = (pages) => pages.map((page) => page.data.map((one) => one.id));
  return {
    sizes: forwards.map((page) => page.data.length),
    different: new Set(ids(forwards).flat()).size,
    back: JSON.stringify(ids(back.reverse())) === JSON.stringify(ids(forwards)),
  };
}

async function errors() {
  const missing = await refused(svix.application.get("nobody"));
  const nobody = await refused(speaking("nothing").application.list());
  const twice = await refused(svix.application.create({ name: "A", uid: app }));
  const unfit = await refused(svix.endpoint.create(app, { url: "ftp://127.0.0.1/" }));
  return {
    statuses: [missing.status, nobody.status, twice.status, unfit.status],
    code: missing.body.code,
    place: unfit.body.detail[0].loc,
  };
}

const steps = { applications, eventTypes, endpoints, messages, attempts, rotation, replays, access, paging, errors };
for (const [name, step] of Object.entries(steps)) {
  try {
    saw[name] = await step();
  } catch (error) {
    console.error(`at ${name}: ${error.stack ?? error}\n${JSON.stringify(error.body ?? null)}`);
    process.exit(1);
  }
}
console.log(JSON.stringify(saw));
server.closeAllConnections();
server.close();
