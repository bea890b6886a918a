/** Requests for set-up and checks; load/ sends the measured ones. */
import { originOf } from '../load/load-spec.ts';
import { sleep } from './loaded-server.ts';
import type { Target } from '../load/types.ts';

/** A server that cannot checkpoint fast enough refuses writes without effect; `call` retries for this long. */
const retryMsMax = 60_000;

export async function call(target: Target, path: string, body?: unknown): Promise<unknown> {
  const startedAt = performance.now();
  for (;;) {
    const response = await fetch(`${originOf(target)}${path}`, {
      method: 'POST',
      headers: { ...authorization(target), ...(body !== undefined && { 'Content-Type': 'application/json' }) },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    const retryAfter = response.headers.get('Retry-After');
    if (retryAfter === null || performance.now() - startedAt > retryMsMax) {
      throw new Error(`POST ${path} was answered ${response.status}: ${text.slice(0, 300)}`);
    }
    await sleep(Number(retryAfter) * 1000);
  }
}

/** Stores a script. */
export async function putScript(target: Target, path: string, source: string): Promise<void> {
  const headers = { ...authorization(target), 'Content-Type': 'text/javascript' };
  const response = await fetch(`${originOf(target)}${path}`, { method: 'PUT', headers, body: source });
  if (!response.ok) throw new Error(`PUT ${path} was answered ${response.status}: ${await response.text()}`);
}

/** @returns the status: a script may fail, and be refused */
export async function callScript(target: Target, path: string): Promise<number> {
  const headers = { ...authorization(target), 'Content-Type': 'application/json' };
  const response = await fetch(`${originOf(target)}${path}`, { method: 'POST', headers, body: '{}' });
  await response.arrayBuffer();
  return response.status;
}

/** Name → sum over all labels; a histogram's bucket has its bound in its name: `name_bucket 5`. */
export type Metrics = ReadonlyMap<string, number>;

export async function readMetrics(target: Target): Promise<Metrics> {
  const response = await fetch(`${originOf(target)}/metrics`, { headers: authorization(target) });
  const text = await response.text();
  if (!response.ok) throw new Error(`GET /metrics was answered ${response.status}`);
  return parseMetrics(text);
}

export function parseMetrics(text: string): Metrics {
  const metrics = new Map<string, number>();
  for (const line of text.split('\n')) {
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (found === null) continue;
    const [, name = '', labels = '', value] = found;
    const bound = /(?:^|,)le="([^"]*)"/.exec(labels)?.[1];
    const full = bound === undefined ? name : `${name} ${bound}`;
    metrics.set(full, (metrics.get(full) ?? 0) + Number(value));
  }
  return metrics;
}

function authorization({ token }: Target): Record<string, string> {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}
