// Makes fetch, http and https use the proxy that the environment names. From 22.21 and 24 on, Node
// does so itself, with NODE_USE_ENV_PROXY; then this file changes nothing. It runs only in zygotes
// whose guests may use the network. Programs find these agents in the place of Node's own. fetch
// uses undici, which keeps its dispatcher in the global object under a symbol.
'use strict';
const http = require('http');
const https = require('https');
const net = require('net');
const tls = require('tls');

const GLOBAL_DISPATCHER = Symbol.for('undici.globalDispatcher.1');

// Make an error of the network, without a stack.
function failure(text) {
	const limit = Error.stackTraceLimit;
	Error.stackTraceLimit = 0;
	const error = new Error(text);
	Error.stackTraceLimit = limit;
	return error;
}

// Returns the URL of the proxy for `protocol` and `host` ("name", "[::1]"), or null. Each request
// reads the environment again, because a program may change it.
function proxy_for(protocol, host) {
	const { env } = process;
	const url = protocol === 'https:' ? env.https_proxy || env.HTTPS_PROXY : env.http_proxy || env.HTTP_PROXY;
	const beside = (env.no_proxy || env.NO_PROXY || '').split(',').map((entry) => entry.trim().toLowerCase());
	const name = host.toLowerCase();
	if (!url || beside.some((entry) => entry === '*' || bracketed(entry) === name || (entry && name.endsWith(`.${entry.replace(/^\*?\./, '')}`))))
		return null;
	return new URL(url);
}

function bracketed(host) {
	return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

// Connect to `host` and `port` with TLS, through the proxy. The callback gets an error or the
// socket.
function tunnel(proxy, host, port, options, callback) {
	const authority = `${bracketed(host)}:${port}`;
	const bare = host.replace(/^\[|\]$/g, '');
	const request = http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: authority,
		headers: { host: authority }, agent: false });
	request.once('connect', (response, socket) => {
		if (response.statusCode !== 200) {
			socket.destroy();
			callback(failure(`The proxy does not connect to ${authority}: ${response.statusCode} ${response.statusMessage}`));
			return;
		}
		const secure = tls.connect({ ALPNProtocols: ['http/1.1'], ...options, host: bare, socket,
			servername: options.servername || (net.isIP(bare) ? '' : bare) });
		secure.once('error', callback);
		secure.once('secureConnect', () => {
			secure.removeListener('error', callback);
			callback(null, secure);
		});
	});
	request.once('error', callback);
	request.end();
}

// ---- fetch ----

// Add a Host header, if there is none. undici accepts headers as an object, or as a list in which
// names and values alternate.
function with_host(headers, host) {
	const list = Array.isArray(headers) ? headers : Object.entries(headers || {}).flat();
	for (let i = 0; i < list.length; i += 2) {
		if (String(list[i]).toLowerCase() === 'host')
			return headers;
	}
	return [...list, 'host', host];
}

function set_dispatcher(Agent) {
	// HTTPS makes a tunnel for each connection. HTTP sends the whole URL to the proxy.
	const direct = new Agent();
	const tunnels = new Agent({
		connect(options, callback) {
			tunnel(proxy_for('https:', options.hostname), options.hostname, options.port || 443,
				options.servername ? { servername: options.servername } : {}, callback);
		},
	});
	const dispatch = (options, handler) => {
		const origin = new URL(options.origin);
		const proxy = proxy_for(origin.protocol, origin.hostname);
		if (proxy === null)
			return direct.dispatch(options, handler);
		if (origin.protocol === 'https:')
			return tunnels.dispatch(options, handler);
		return direct.dispatch({ ...options, origin: proxy.origin, path: `${origin.origin}${options.path}`,
			headers: with_host(options.headers, origin.host) }, handler);
	};
	const agent = new Agent();
	Object.defineProperty(agent, 'dispatch', { value: dispatch, writable: true, enumerable: false, configurable: true });
	globalThis[GLOBAL_DISPATCHER] = agent;
}

// ---- http and https ----

function set_agents() {
	const keep = { keepAlive: true, scheduling: 'lifo', timeout: 5000 }; // as in Node's own agents
	const plain = new http.Agent(keep);
	const secure = new https.Agent(keep);
	const add_plain = plain.addRequest;
	const connect_secure = secure.createConnection;
	plain.addRequest = function addRequest(request, options, ...rest) {
		const host = bracketed(options.host || options.hostname || 'localhost');
		const proxy = options.socketPath ? null : proxy_for('http:', host);
		if (proxy === null || request._header)
			return add_plain.call(this, request, options, ...rest);
		const port = options.port && Number(options.port) !== 80 ? `:${options.port}` : '';
		request.path = `http://${host}${port}${request.path}`;
		return add_plain.call(this, request, { ...options, host: proxy.hostname, hostname: proxy.hostname, port: proxy.port }, ...rest);
	};
	secure.createConnection = function createConnection(options, callback) {
		const host = bracketed(options.host || options.hostname || 'localhost');
		const proxy = options.socketPath ? null : proxy_for('https:', host);
		if (proxy === null)
			return connect_secure.call(this, options, callback);
		tunnel(proxy, host, options.port || 443, options, callback);
		return undefined;
	};
	http.globalAgent = plain;
	https.globalAgent = secure;
}

void globalThis.Response; // makes Node load undici
const { constructor } = globalThis[GLOBAL_DISPATCHER];
if (constructor.name !== 'EnvHttpProxyAgent') {
	set_dispatcher(constructor);
	set_agents();
}
