// A client of Cellblock, which runs untrusted programs. One file, for Node.js 18 or later and for
// browsers; types are in cellblock.d.ts.
//
//     import { Cellblock } from "./cellblock.js";
//     const client = new Cellblock({ url: "https://sandbox.example:8443", key: "..." });
//     const result = await client.run({ language: "python3", code: "print(6 * 7)" });
//
// A call is tried again only where that is safe: if the service cannot be reached, or answers 429,
// or 503 in its own envelope, which say that nothing was run. All but runs are tried again after
// other failures, too. A run that may have begun is never sent twice: that is a
// LostError.

const FILES = "/v1/sandbox/files";
const EVENTS = "application/x-ndjson";
const SAFE_TWICE = new Set(["GET", "PUT", "DELETE"]);
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8000;

// Codes of Node.js for a connection that was not made. A browser does not say why a request failed.
const NOT_CONNECTED = new Set([
  "ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT",
]);

// ---- errors --------------------------------------------------------------------------------------

/** The request was not carried out. */
export class CellblockError extends Error {
  constructor(message, { status, code, requestId, retryAfter, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = this.constructor.name;
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    this.retryAfter = retryAfter; // seconds
  }

  /** Whether a run may have begun. */
  get mayHaveRun() {
    return false;
  }
}

/** The service rejects the request (400, 413, 422); the message names the field. */
export class RequestError extends CellblockError {}

/** The key is missing, wrong or expired (401), or not an operator's (403). */
export class AuthError extends CellblockError {}

/** There is no such route or file (404), or the route lacks the method (405). */
export class NotFoundError extends CellblockError {}

/** Nothing was run: the key has too many requests (429), or no cell is free (503). */
export class BusyError extends CellblockError {}

/** Nothing was run: there is no connection to the service. */
export class UnreachableError extends BusyError {}

/** A fault of the service (5xx). */
export class ServiceError extends CellblockError {
  get mayHaveRun() {
    return true;
  }
}

/** The run may have begun, and its result is lost: the connection was cut, or the time is up. */
export class LostError extends ServiceError {}

// ---- requests and answers ------------------------------------------------------------------------

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  }
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The body of a run: contents of files that are bytes become base64. */
function bodyOf(fields) {
  const { files } = fields;
  if (files === undefined || files === null || Array.isArray(files)) {
    return JSON.stringify(fields);
  }
  const list = Object.entries(files).map(([path, content]) =>
    content instanceof Uint8Array
      ? { path, content: toBase64(content), encoding: "base64" }
      : { path, content });
  return JSON.stringify({ ...fields, files: list });
}

/** The error for an answer; `event` has the data of the event `error`, if that was it. */
function errorOf(response, envelope, event) {
  const { status } = event ?? response;
  const wait = response.headers.get("Retry-After");
  const message = envelope?.message ?? `HTTP ${status}, and the answer is not Cellblock's`;
  const details = {
    status,
    code: envelope?.code,
    requestId: response.headers.get("X-Request-Id") ?? undefined,
    retryAfter: event?.retry_after ?? (/^\d+$/.test(wait ?? "") ? Number(wait) : undefined),
  };
  if (status === 429 || (status === 503 && envelope?.code === -503)) {
    return new BusyError(message, details);
  }
  if (status === 401 || status === 403) {
    return new AuthError(message, details);
  }
  if (status === 404 || status === 405) {
    return new NotFoundError(message, details);
  }
  if (status < 500 && (envelope !== undefined || status >= 400)) {
    return new RequestError(message, details);
  }
  return message.startsWith("lost") ? new LostError(message, details) : new ServiceError(message, details);
}

function parseEnvelope(text) {
  try {
    const envelope = JSON.parse(text);
    return typeof envelope?.code === "number" && typeof envelope.message === "string" ? envelope : undefined;
  } catch {
    return undefined;
  }
}

/** The error for a request that has no answer. */
function errorWithoutAnswer(cause) {
  const code = cause?.cause?.code;
  if (NOT_CONNECTED.has(code)) {
    return new UnreachableError(`the service cannot be reached: ${code}`, { cause });
  }
  if (typeof code === "string" && /CERT|SELF_SIGNED|VERIFY/.test(code)) {
    const error = new UnreachableError(`the service's certificate is not trusted: ${code}`, { cause });
    error.isFinal = true;
    return error;
  }
  return new LostError(
    `lost: the request may have been carried out, and its result is lost: ${code ?? cause?.message ?? cause}`, { cause });
}

/** How many ms to wait before the request may be sent again; undefined: it must not be. */
function pauseBeforeRetry(error, isIdempotent, attempt, end) {
  const isSafe = error instanceof BusyError || (isIdempotent && error instanceof ServiceError);
  if (!isSafe || error.isFinal) {
    return undefined;
  }
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2)
    + 1000 * (error.retryAfter ?? 0);
  return performance.now() + pause > end ? undefined : pause;
}

/** The end of a request under way: when the caller's signal is aborted, or when the time is up. */
class Limit {
  #abort = new AbortController();
  #caller;
  #stop;
  #timer;

  constructor(caller, timeout) {
    caller?.throwIfAborted();
    this.#caller = caller;
    this.#stop = () => this.#abort.abort(caller.reason);
    this.#timer = setTimeout(() => this.#abort.abort(new Error("the time is up")), timeout);
    caller?.addEventListener("abort", this.#stop, { once: true });
  }

  get signal() {
    return this.#abort.signal;
  }

  /** The error for the caller. An aborted signal throws its reason. */
  errorOf(error) {
    if (error instanceof CellblockError) {
      return error;
    }
    this.#caller?.throwIfAborted();
    return errorWithoutAnswer(error);
  }

  /** End the request, if it still goes on. */
  abort() {
    this.#abort.abort();
  }

  release() {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#stop);
  }
}

/** Wait; an aborted signal ends the wait with its reason. */
function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The result of a run: all members of `data` in API.md, and `ok`, `requestId` and `file`. */
export class Result {
  constructor(data, requestId) {
    Object.assign(this, data);
    this.ok = data.status === "ok"; // whether the program ended by itself with exit code 0
    Object.defineProperty(this, "requestId", { value: requestId });
  }

  /** The bytes of a collected file; undefined if it was not returned. */
  file(path) {
    const found = this.files?.find((file) => file.path === path);
    if (typeof found?.content !== "string") {
      return undefined;
    }
    return found.encoding === "base64" ? fromBase64(found.content) : new TextEncoder().encode(found.content);
  }
}

function headersOf(queueTimeout) {
  const headers = { "Content-Type": "application/json" };
  if (queueTimeout !== undefined) {
    headers["X-Queue-Timeout"] = String(queueTimeout);
  }
  return headers;
}

/** The lines of a body, as they arrive. */
async function* linesOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    yield* lines;
  }
}

// ---- the client ----------------------------------------------------------------------------------

export class Cellblock {
  #url;
  #key;
  #fetch;
  #timeout;
  #retry;

  /** In Node.js, `url` and `key` are CELLBLOCK_URL and CELLBLOCK_API_KEY by default. */
  constructor({ url, key, timeout = 600_000, retry = 30_000, fetch: own } = {}) {
    const environment = globalThis.process?.env ?? {};
    const address = url ?? environment.CELLBLOCK_URL ?? "http://127.0.0.1:8194";
    this.#key = key ?? environment.CELLBLOCK_API_KEY;
    if (!/^https?:\/\//.test(address)) {
      throw new TypeError(`url: must begin with http:// or https://: ${address}`);
    }
    if (this.#key !== undefined && !/^[A-Za-z0-9._~+/=-]{8,200}$/.test(this.#key)) {
      throw new TypeError("key: must be 8 to 200 letters, digits and ._~+/=-");
    }
    this.#url = address.replace(/\/+$/, "");
    this.#timeout = timeout;
    this.#retry = retry;
    this.#fetch = own ?? ((...args) => globalThis.fetch(...args));
  }

  /** Run a program. `fields` are those of API.md. */
  async run(fields, { signal, queueTimeout } = {}) {
    const headers = headersOf(queueTimeout);
    const { envelope, requestId } = await this.#call("POST", "/v1/sandbox/run", { headers, body: bodyOf(fields), signal });
    return new Result(envelope.data, requestId);
  }

  /**
   * Run a program, and iterate over its events as they arrive. The last one is `result`; a run that
   * is not carried out is an error. An end of the loop ends the run, too.
   */
  async *events(fields, { signal, queueTimeout } = {}) {
    const headers = { ...headersOf(queueTimeout), Accept: EVENTS };
    const end = performance.now() + this.#retry;
    for (let attempt = 0; ; attempt++) {
      let hasBegun = false;
      let pause;
      try {
        for await (const event of this.#stream({ headers, body: bodyOf(fields), signal })) {
          hasBegun = true;
          yield event;
        }
        return;
      } catch (error) {
        pause = error instanceof CellblockError && !hasBegun ? pauseBeforeRetry(error, false, attempt, end) : undefined;
        if (pause === undefined) {
          throw error;
        }
      }
      await wait(pause, signal);
    }
  }

  /** Store bytes or a text for the runs to come. Returns the id. */
  async putFile(content, { signal } = {}) {
    const headers = { "Content-Type": "application/octet-stream" };
    return (await this.#call("PUT", FILES, { headers, body: content, signal })).envelope.data.id;
  }

  /** The bytes of a file in the store. */
  async getFile(id, { signal } = {}) {
    return (await this.#call("GET", `${FILES}/${encodeURIComponent(id)}`, { signal, isRaw: true })).bytes;
  }

  /** Remove a file from the store. Returns true. */
  async deleteFile(id, { signal } = {}) {
    return (await this.#call("DELETE", `${FILES}/${encodeURIComponent(id)}`, { signal })).envelope.data.deleted;
  }

  async languages({ signal } = {}) {
    return (await this.#call("GET", "/v1/sandbox/languages", { signal })).envelope.data.languages;
  }

  async capabilities({ signal } = {}) {
    return (await this.#call("GET", "/v1/sandbox/capabilities", { signal })).envelope.data;
  }

  async dependencies(language = "python3", { signal } = {}) {
    const path = `/v1/sandbox/dependencies?language=${encodeURIComponent(language)}`;
    return (await this.#call("GET", path, { signal })).envelope.data.dependencies;
  }

  /** True if the service can run programs; else an error says why. It is not tried again. */
  async health({ signal } = {}) {
    await this.#call("GET", "/health", { signal, isProbe: true });
    return true;
  }

  /** True if the service takes new runs; else an error says why. It is not tried again. */
  async ready({ signal } = {}) {
    await this.#call("GET", "/readyz", { signal, isProbe: true });
    return true;
  }

  async #call(method, path, { headers = {}, body, signal, isProbe = false, isRaw = false }) {
    const end = performance.now() + (isProbe ? 0 : this.#retry);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#exchange(method, path, { headers, body, signal, isProbe, isRaw });
      } catch (error) {
        const pause = error instanceof CellblockError ? pauseBeforeRetry(error, SAFE_TWICE.has(method), attempt, end) : undefined;
        if (pause === undefined) {
          throw error;
        }
        await wait(pause, signal);
      }
    }
  }

  /** A probe needs no key. */
  #send(method, path, { headers, body, limit, isProbe = false }) {
    const all = this.#key === undefined || isProbe ? headers : { ...headers, "X-Api-Key": this.#key };
    return this.#fetch(this.#url + path,
      { method, headers: all, body, signal: limit.signal, redirect: "error", credentials: "omit", cache: "no-store" });
  }

  /** One request and its answer. An aborted signal throws its reason, as fetch does. */
  async #exchange(method, path, { headers, body, signal, isProbe, isRaw }) {
    const limit = new Limit(signal, this.#timeout);
    try {
      const response = await this.#send(method, path, { headers, body, limit, isProbe });
      if (isRaw && response.status === 200) {
        return { bytes: new Uint8Array(await response.arrayBuffer()) };
      }
      const text = await response.text();
      if (isProbe && response.status === 200) {
        return undefined;
      }
      const envelope = parseEnvelope(text);
      if (!response.ok || envelope === undefined || envelope.code !== 0) {
        throw errorOf(response, envelope);
      }
      return { envelope, requestId: response.headers.get("X-Request-Id") ?? undefined };
    } catch (error) {
      throw limit.errorOf(error);
    } finally {
      limit.release();
    }
  }

  /** The events of one run. */
  async *#stream({ headers, body, signal }) {
    const limit = new Limit(signal, this.#timeout);
    try {
      const response = await this.#send("POST", "/v1/sandbox/run", { headers, body, limit });
      if (!(response.headers.get("Content-Type") ?? "").startsWith(EVENTS)) {
        throw errorOf(response, parseEnvelope(await response.text()));
      }
      for await (const line of linesOf(response.body)) {
        const event = JSON.parse(line);
        if (event.event === "error") {
          throw errorOf(response, event.data, event.data);
        }
        yield event;
        if (event.event === "result") {
          return;
        }
      }
      throw new Error("the events were cut");
    } catch (error) {
      throw limit.errorOf(error);
    } finally {
      limit.release();
      limit.abort();
    }
  }
}
