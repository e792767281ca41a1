// The same as cases.py, for the JavaScript client. Its first argument is the client's file.
const [file, url, key, retry, text] = process.argv.slice(2);
const { Cellblock, CellblockError, Result } = await import(file);

const calls = JSON.parse(text);
const timeout = calls.map(([, fields]) => fields.client_timeout).find((given) => given !== undefined) ?? 600;
const client = new Cellblock({ url, key: key === "" ? undefined : key, retry: 1000 * Number(retry), timeout: 1000 * timeout });

async function all(events) {
  const found = [];
  for await (const event of events) {
    found.push(event);
  }
  return found;
}

function call(name, { client_timeout, bytes, queue_timeout_ms, ...fields }) {
  if (name === "events") {
    return all(client.events(fields));
  }
  if (name === "put_file") {
    return client.putFile(Uint8Array.from(fields.content));
  }
  if (name !== "run") {
    return client[name.replace("_file", "File")](...Object.values(fields));
  }
  if (bytes !== undefined) {
    fields.files = Object.fromEntries(Object.entries(bytes).map(([path, content]) => [path, Uint8Array.from(content)]));
  }
  return client.run(fields, { queueTimeout: queue_timeout_ms });
}

function plain(value) {
  if (value instanceof Uint8Array) {
    return [...value];
  }
  if (!(value instanceof Result)) {
    return value;
  }
  const files = (value.files ?? []).filter((entry) => typeof entry.content === "string");
  return { stdout: value.stdout, ok: value.ok, files: Object.fromEntries(files.map(({ path }) => [path, [...value.file(path)]])) };
}

for (const [name, fields] of calls) {
  try {
    console.log(JSON.stringify({ value: plain(await call(name, fields)) }));
  } catch (error) {
    if (!(error instanceof CellblockError)) {
      throw error;
    }
    console.log(JSON.stringify({
      error: error.name.replace(/^(Busy|Unreachable|NotFound|Lost)Error$/, "$1"), message: error.message, status: error.status ?? null,
      may_have_run: error.mayHaveRun, retry_after: error.retryAfter ?? null, has_id: error.requestId !== undefined,
    }));
  }
}
