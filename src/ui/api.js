/**
 * Calls of the server. The token is in memory, and with "keep for this tab" in sessionStorage; it is never in a URL, a
 * cookie or localStorage. Streams are read by fetch, because EventSource cannot send a header.
 */
const storedAs = 'dragonlock-token';
const base = new URL('../', location.href);

let token = sessionStorage.getItem(storedAs) ?? '';
let onRefused = () => {};

export class CallError extends Error {
  constructor(status, body) {
    super(body.Message ?? `The server answered ${status}`);
    this.status = status;
    this.code = body.Code ?? '';
    this.body = body;
  }
}

export function hasToken() {
  return token !== '';
}

export function useToken(text, keep) {
  token = text;
  if (keep) sessionStorage.setItem(storedAs, text);
  else sessionStorage.removeItem(storedAs);
}

export function forgetToken() {
  useToken('', false);
}

/** Called when the server takes the token no more. */
export function whenRefused(run) {
  onRefused = run;
}

function headers() {
  return token === '' ? {} : { Authorization: `Bearer ${token}` };
}

/** @throws CallError; a TypeError when there is no answer */
export async function call(method, path, { body, signal, text = false } = {}) {
  const response = await fetch(new URL(path, base), {
    method,
    signal: signal ?? null,
    cache: 'no-store',
    credentials: 'omit',
    headers: { ...headers(), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    body: body ?? null,
  });
  const said = await response.text();
  if (response.ok) return text ? said : said === '' ? {} : JSON.parse(said);
  let failure = {};
  try {
    failure = JSON.parse(said);
  } catch {
    failure = { Message: `The answer ${response.status} is not from Dragon Lock; is there a proxy in between?` };
  }
  if (response.status === 401) onRefused();
  throw new CallError(response.status, failure);
}

export function get(path, options) {
  return call('GET', path, options);
}

/** A path of the data of an account; a slash in an id is part of it. */
export function dataPath(account, noun, id, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  const path = `db/${encodeURIComponent(account)}/${noun}${id === undefined ? '' : `/${encodeURIComponent(id)}`}`;
  return search === '' ? path : `${path}?${search}`;
}

export function adminPath(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return `admin/${path}${search === '' ? '' : `?${search}`}`;
}

/** Hands each event of a stream to `take`, until it ends or is aborted. */
export async function follow(path, signal, take) {
  const response = await fetch(new URL(path, base), { headers: headers(), signal, credentials: 'omit' });
  if (!response.ok) {
    if (response.status === 401) onRefused();
    throw new CallError(response.status, await response.json().catch(() => ({})));
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) if (block.startsWith('data: ')) take(JSON.parse(block.slice(6)));
  }
}
