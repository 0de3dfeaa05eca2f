// The inbox page. Whatever was received goes into text nodes, never into markup.
"use strict";

const words = JSON.parse(document.body.dataset.words);
const base = document.body.dataset.base;
const list = document.getElementById("list");
const detail = document.getElementById("detail");
const KEPT = 200;

let boot = "";
let latest = 0;
let arrivals = []; // newest first
let chosen = null; // the number of the one shown on the right
let followed = true; // nothing was chosen by hand yet: show the newest
let indented = true;

// --- small tools

function make(tag, properties = {}, ...children) {
  const { class: names, ...others } = properties;
  const node = document.createElement(tag);
  if (names) node.className = names;
  for (const [name, value] of Object.entries(others)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const ICONS = {
  check: "M3 8.5l3.2 3.2L13 5",
  cross: "M4 4l8 8M12 4l-8 8",
  dot: "M8 8h.01",
  wait: "M8 4v4l2.5 2",
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const attributes = { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true", fill: "none", stroke: "currentColor",
    "stroke-width": name === "dot" ? 6 : 2, "stroke-linecap": "round", "stroke-linejoin": "round" };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function chip(kind, iconName, text) {
  return make("span", { class: `chip ${kind}` }, icon(iconName), text);
}

// Control characters and those that turn the direction of writing are shown, not obeyed.
function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (found) => "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0"));
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const number = new Intl.NumberFormat(words.language);
const clock = new Intl.DateTimeFormat(words.language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(words.language, { dateStyle: "medium", timeStyle: "medium" });

// --- the body: indented without changing a digit, so not by parsing and printing

function indent(text) {
  const parts = [];
  let depth = 0;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  const line = () => parts.push(["", "\n" + "  ".repeat(depth)]);
  tokens.forEach((token, i) => {
    if (token === "{" || token === "[") {
      parts.push(["", token]);
      if (tokens[i + 1] !== "}" && tokens[i + 1] !== "]") { depth += 1; line(); }
    } else if (token === "}" || token === "]") {
      if (tokens[i - 1] !== "{" && tokens[i - 1] !== "[") { depth -= 1; line(); }
      parts.push(["", token]);
    } else if (token === ",") { parts.push(["", ","]); line(); }
    else if (token === ":") parts.push(["", ": "]);
    else if (token.startsWith('"')) parts.push([tokens[i + 1] === ":" ? "key" : "text", token]);
    else parts.push(["literal", token]);
  });
  return parts;
}

function isJson(text) {
  try { JSON.parse(text); return true; } catch { return false; }
}

function bodyBlock(arrival) {
  if (arrival.size === 0) return make("p", { class: "muted reason" }, words.no_body);
  if (!indented || !isJson(arrival.body)) return make("pre", {}, visible(arrival.body));
  return make("pre", {}, ...indent(arrival.body).map(([kind, text]) => (kind ? make("span", { class: kind }, visible(text)) : text)));
}

// --- the two panes

function verdict(arrival) {
  return arrival.verified ? chip("success", "check", words.verified) : chip("danger", "cross", words.refused);
}

function row(arrival) {
  const notes = [arrival.inbox];
  if (arrival.time > 1) notes.push(fill(words.again, { time: arrival.time }));
  if (arrival.answered !== 204) notes.push(`${words.answered} ${arrival.answered}`);
  const button = make("button", { class: "row", type: "button", "data-number": arrival.number, onclick: () => choose(arrival.number) },
    verdict(arrival),
    make("span", { class: "what" }, visible(arrival.event) || words.no_event),
    make("time", { class: "when", datetime: new Date(arrival.at).toISOString() }, clock.format(arrival.at)),
    make("span", { class: "note" }, notes.join(" · ")));
  return make("li", {}, button);
}

function mark() {
  for (const button of list.querySelectorAll(".row")) {
    button.setAttribute("aria-current", String(Number(button.dataset.number) === chosen));
  }
}

function section(title, aside, ...children) {
  return make("section", {}, make("div", { class: "line" }, make("h2", {}, title), aside), ...children);
}

function facts(pairs) {
  return make("dl", {}, ...pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { class: "mono" }, visible(value))]));
}

function bodySwitch() {
  const button = (text, value) => make("button", { type: "button", "aria-pressed": String(indented === value),
    onclick: () => { indented = value; show(); } }, text);
  return make("div", { class: "switch" }, button(words.pretty, true), button(words.raw, false));
}

function show() {
  const arrival = arrivals.find((one) => one.number === chosen);
  if (!arrival) {
    detail.replaceChildren(make("p", { class: "muted choose" }, words.choose));
    return;
  }
  const path = `${base}/to/${arrival.inbox}${arrival.query ? "?" + arrival.query : ""}`;
  const why = arrival.verified ? words.signature_holds : words[arrival.reason] || arrival.detail;
  const cut = arrival.shown < arrival.size
    ? [make("p", { class: "muted reason" }, fill(words.cut, { shown: number.format(arrival.shown), size: number.format(arrival.size) }))] : [];
  detail.replaceChildren(
    make("section", {},
      make("div", { class: "line" }, make("span", { class: "title" }, visible(arrival.event) || words.no_event), verdict(arrival)),
      facts([
        [words.received, moment.format(arrival.at)],
        [words.message, arrival.message + (arrival.time > 1 ? ` (${fill(words.again, { time: arrival.time })})` : "")],
        [words.answered, String(arrival.answered)],
      ])),
    section(words.signature, "", make("p", { class: "reason" }, why)),
    section(words.body, bodySwitch(), bodyBlock(arrival), ...cut),
    section(words.headers, "", make("p", { class: "mono reason" }, visible(`${arrival.method} ${path}`)), facts(arrival.headers)));
}

function choose(which, byHand = true) {
  chosen = which;
  if (byHand) followed = false;
  mark();
  show();
}

function put(arrival) {
  if (arrival.number <= latest && arrivals.some((one) => one.number === arrival.number)) return;
  arrivals.unshift(arrival);
  arrivals.length = Math.min(arrivals.length, KEPT);
  latest = Math.max(latest, arrival.number);
  list.prepend(row(arrival));
  while (list.children.length > KEPT) list.lastChild.remove();
  if (followed) choose(arrival.number, false);
  showEmpty();
}

function showEmpty() {
  document.getElementById("empty").hidden = arrivals.length > 0;
  document.title = (arrivals.length ? `(${arrivals.length}) ` : "") + `${words.title} · Anzol`;
}

function forget() {
  arrivals = [];
  chosen = null;
  followed = true;
  list.replaceChildren();
  show();
  showEmpty();
}

// --- the link: a stream, and asking every two seconds while there is none

const states = { live: ["success", "dot"], polling: ["warn", "wait"], lost: ["danger", "cross"] };

function say(state) {
  const [kind, iconName] = states[state];
  const link = document.getElementById("link");
  if (link.dataset.state === state) return;
  link.dataset.state = state;
  link.className = `chip ${kind}`;
  link.replaceChildren(icon(iconName), words[state]);
}

async function ask() {
  const answer = await fetch(`${base}/arrivals?boot=${encodeURIComponent(boot)}&after=${latest}`);
  if (!answer.ok) throw new Error(String(answer.status));
  const page = await answer.json();
  if (page.boot !== boot || page.empty) { forget(); latest = 0; }
  boot = page.boot;
  for (const arrival of page.arrivals.reverse()) put(arrival);
  latest = page.latest;
}

let source = null;
let asking = null;

function stream() {
  source = new EventSource(`${base}/events`);
  source.addEventListener("hello", async () => {
    stopAsking();
    await ask().catch(() => {});
    say("live");
  });
  source.addEventListener("arrival", (event) => put(JSON.parse(event.data)));
  source.addEventListener("cleared", forget);
  source.onerror = () => {
    source.close();
    startAsking();
    setTimeout(stream, 2000);
  };
}

function startAsking() {
  if (asking) return;
  const once = () => ask().then(() => say("polling"), () => say("lost"));
  asking = setInterval(once, 2000);
  once();
}

function stopAsking() {
  clearInterval(asking);
  asking = null;
}

// --- the buttons and keys

document.getElementById("clear").addEventListener("click", async () => {
  await fetch(`${base}/arrivals`, { method: "DELETE" });
  forget();
});

document.getElementById("copy").addEventListener("click", async (event) => {
  const field = document.getElementById("address");
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
  event.target.textContent = words.copied;
  setTimeout(() => { event.target.textContent = words.copy; }, 1500);
});

document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (!step || arrivals.length === 0) return;
  const now = arrivals.findIndex((one) => one.number === chosen);
  const next = arrivals[Math.min(Math.max(now + step, 0), arrivals.length - 1)];
  choose(next.number);
  list.querySelector(`[data-number="${next.number}"]`).focus();
});

showEmpty();
stream();
