// The member: its JSON gateway and its plain pages, on the origin that this page came from. Nothing but a login is sent
// that changes anything.

const BASE = new URL("..", import.meta.url);

/** Requests under way at once; the rest waits. Browsers open six connections to an origin, and a watch keeps one. */
const CALLS_MAX = 4;
/** A member that does not respond within so many milliseconds is said to be away. */
const PATIENCE = 10_000;
/** What is read of a response at most, in bytes. */
const RESPONSE_MAX = 32 << 20;

/** `login`: the member asks for a user. */
export const events = new EventTarget();

/** In memory alone: neither storage nor cookies, so that it ends with the page. */
let token = "";

export const hasToken = () => token !== "";

/** A request that the member, or something on the way to it, did not carry out. */
export class Failure extends Error {
  constructor(message, { code, isTooLong } = {}) {
    super(message);
    Object.assign(this, { code, isTooLong });
  }

  /** Whether the history at the revision of the request is gone. */
  get isCompacted() {
    return this.code === 11 && this.message.includes("compacted");
  }
}

let free = CALLS_MAX;
const waiting = [];

/** Does `work` when there is a place for it. */
async function placed(work) {
  if (free > 0) free -= 1;
  else await new Promise((resolve) => waiting.push(resolve));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }
}

const tooLong = () => new Failure("The response is too long.", { isTooLong: true });

/** What comes from the member, or why it does not. */
const awaited = (work) =>
  work.catch((error) => {
    throw error.name === "AbortError" ? error : new Failure("The member does not respond.");
  });

function send(path, options, signal = AbortSignal.timeout(PATIENCE)) {
  const headers = token ? { Authorization: token } : {};
  return awaited(fetch(new URL(path, BASE), { cache: "no-store", headers, signal, ...options }));
}

/** The error of a response that is none of status 200. */
async function failure(response) {
  const text = await bounded(response);
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    if (response.status === 404) {
      return new Failure("This member does not serve the API as JSON: it was started with --enable-grpc-gateway=false.");
    }
  }
  return fault(body.code, body.message ?? (text.trim() || `status ${response.status}`));
}

/** The error with a code of gRPC. Without a user, or with a token that is no longer valid, a login may help. */
function fault(code, message) {
  if (code === 16 || /user name is empty|invalid auth token/.test(message)) {
    token = "";
    events.dispatchEvent(new CustomEvent("login", { detail: code === 16 ? "The token is no longer valid." : "" }));
  }
  return new Failure(message, { code });
}

/** Reads a body up to `max` bytes. */
async function bounded(response, max = RESPONSE_MAX) {
  const reader = response.body.getReader();
  const parts = [];
  for (let length = 0; ; ) {
    const { done, value } = await awaited(reader.read());
    if (done) return new Blob(parts).text();
    parts.push(value);
    length += value.length;
    if (length > max) {
      await reader.cancel();
      throw tooLong();
    }
  }
}

/** Calls a method of the gateway: the path below `/v3/` and the request. */
export const call = (path, request = {}, max) =>
  placed(async () => {
    const response = await send(`v3/${path}`, { method: "POST", body: JSON.stringify(request) });
    if (!response.ok) throw await failure(response);
    return JSON.parse(await bounded(response, max));
  });

/** The text of a plain page, whatever its status. */
export const page = (path) => placed(async () => bounded(await send(path)));

/** Calls `receive` with each response of a watch, until the stream ends or `signal` ends it. */
export async function watch(request, receive, signal) {
  const response = await send("v3/watch", { method: "POST", body: JSON.stringify({ create_request: request }) }, signal);
  if (!response.ok) throw await failure(response);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await awaited(reader.read());
    if (done) return;
    const lines = decoder.decode(value, { stream: true }).split("\n");
    lines[0] = rest + lines[0];
    rest = lines.pop();
    if (rest.length > RESPONSE_MAX) throw tooLong();
    for (const line of lines.filter((line) => line.trim() !== "")) {
      const { result, error } = JSON.parse(line);
      if (error) throw fault(error.code ?? error.grpc_code, error.message);
      receive(result);
    }
  }
}

/** Gets a token for a user. */
export async function logIn(name, password) {
  token = "";
  token = (await call("auth/authenticate", { name, password })).token ?? "";
}

export function logOut() {
  token = "";
}
