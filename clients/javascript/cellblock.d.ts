// The types of cellblock.js. API.md describes the members.

export interface ClientOptions {
  /** Default: CELLBLOCK_URL in Node.js, else http://127.0.0.1:8194. */
  url?: string;
  /** Default: CELLBLOCK_API_KEY in Node.js. */
  key?: string;
  /** For each request, in ms. Default: 600000. */
  timeout?: number;
  /** How long a request is tried again where that is safe, in ms. Default: 30000. */
  retry?: number;
  /** Another fetch, for instance one with a proxy. */
  fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  /** Ends the request, and with it the run. */
  signal?: AbortSignal;
}

export interface RunOptions extends CallOptions {
  /** The longest wait for a cell, in ms. */
  queueTimeout?: number;
}

export type LimitName =
  | "wall_ms" | "cpu_ms" | "memory_bytes" | "processes" | "threads" | "open_files" | "inodes" | "stack_bytes"
  | "output_bytes" | "disk_bytes";

export interface InputFile {
  path: string;
  content?: string;
  encoding?: "utf-8" | "base64";
  executable?: boolean;
  /** Of a service that keeps files. */
  id?: string;
}

export interface RunRequest {
  language: string;
  /** Required, unless there is `main`. */
  code?: string;
  preload?: string;
  main?: string;
  stdin?: string;
  args?: string[];
  env?: Record<string, string>;
  limits?: Partial<Record<LimitName, number>>;
  files?: InputFile[] | Record<string, string | Uint8Array>;
  collect?: string[];
  collect_as?: "content" | "id" | null;
  enable_network?: boolean;
  network?: "loopback" | null;
  compiler_options?: string[];
  dependencies?: (string | { name: string; version?: string })[];
  strict?: boolean;
  /** Fields of later versions. */
  [field: string]: unknown;
}

export type Status =
  | "ok" | "exit" | "signal" | "timeout" | "cpu_limit" | "memory_limit" | "output_limit" | "process_limit" | "disk_limit"
  | "denied" | "compile_error" | "cancelled";

export interface Usage {
  wall_ms: number;
  cpu_ms: number;
  memory_peak_bytes: number;
  processes_peak: number | null;
  stdout_bytes: number;
  stderr_bytes: number;
  queue_ms: number;
  spawn_ms: number;
  /** Only if the program was not done after its wall_ms, and had to wait for a processor. */
  stall_ms?: number;
}

export interface CollectedFile {
  path: string;
  size: number;
  content: string | null;
  encoding?: "utf-8" | "base64";
  truncated?: boolean;
  sha256?: string;
  mime?: string;
  /** Of a file that went into the store. */
  id?: string;
  /** Why it is not returned. */
  reason?: string;
}

export declare class Result {
  readonly stdout: string;
  readonly stderr: string;
  readonly error: string;
  readonly exit_code: number;
  readonly signal: string | null;
  readonly status: Status;
  readonly limit?: { name: LimitName; value: number };
  readonly truncated: boolean;
  readonly denied: { name: string; count: number; hint?: string }[];
  readonly usage: Usage;
  readonly compile?: { cached: boolean; wall_ms: number; cpu_ms: number; output: string };
  readonly files?: CollectedFile[];
  readonly collect?: { complete: boolean; reason: string | null };
  readonly network: "none" | "proxy" | "host" | "loopback";
  readonly isolation: "namespaces" | "chroot";
  readonly requestId?: string;
  /** Whether the program ended by itself with exit code 0. */
  readonly ok: boolean;
  /** The bytes of a collected file; undefined if it was not returned. */
  file(path: string): Uint8Array | undefined;
}

/** docs/events.md has the kinds. */
export interface RunEvent {
  event: string;
  /** Since the service has the request. */
  ms: number;
  /** A string for `stdout` and `stderr`, an object for all others. */
  data: any;
}

export interface Language {
  name: string;
  aliases: string[];
  family: string;
  default: boolean;
  version: string;
  start: "zygote" | "spare" | "cold";
  available: boolean;
  reason: string;
  compiler_options?: string[];
}

export interface Capabilities {
  version: string;
  level: "namespaces" | "chroot";
  level_note?: string;
  layers: Record<string, { required: boolean; in_force: boolean; detail: string }>;
  languages: Record<string, "zygote" | "spare" | "cold">;
  limits: Record<LimitName, { default: number; maximum: number }>;
  network: "none" | "proxy" | "host";
  loopback: boolean;
}

export declare class Cellblock {
  constructor(options?: ClientOptions);
  run(request: RunRequest, options?: RunOptions): Promise<Result>;
  events(request: RunRequest, options?: RunOptions): AsyncGenerator<RunEvent, void, void>;
  putFile(content: Uint8Array | string | Blob, options?: CallOptions): Promise<string>;
  getFile(id: string, options?: CallOptions): Promise<Uint8Array>;
  deleteFile(id: string, options?: CallOptions): Promise<true>;
  languages(options?: CallOptions): Promise<Language[]>;
  capabilities(options?: CallOptions): Promise<Capabilities>;
  dependencies(language?: string, options?: CallOptions): Promise<{ name: string; version: string }[]>;
  health(options?: CallOptions): Promise<true>;
  ready(options?: CallOptions): Promise<true>;
}

/** The request was not carried out. */
export declare class CellblockError extends Error {
  readonly status?: number;
  readonly code?: number;
  readonly requestId?: string;
  /** In seconds. */
  readonly retryAfter?: number;
  /** Whether a run may have begun. */
  get mayHaveRun(): boolean;
}
/** The service rejects the request (400, 413, 422); the message names the field. */
export declare class RequestError extends CellblockError {}
/** The key is missing, wrong or expired (401), or not an operator's (403). */
export declare class AuthError extends CellblockError {}
/** There is no such route or file (404), or the route lacks the method (405). */
export declare class NotFoundError extends CellblockError {}
/** Nothing was run: the key has too many requests (429), or no cell is free (503). */
export declare class BusyError extends CellblockError {}
/** Nothing was run: there is no connection to the service. */
export declare class UnreachableError extends BusyError {}
/** A fault of the service (5xx). */
export declare class ServiceError extends CellblockError {}
/** The run may have begun, and its result is lost: the connection was cut, or the time is up. */
export declare class LostError extends ServiceError {}
