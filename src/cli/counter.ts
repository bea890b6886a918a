/** `dragonlock counter`: get, add, set, max, min, reset, list. */
import type { Run } from './command-spec.ts';
import type { Invocation } from './invocation.ts';
import { parseDuration, parseInteger } from './parse.ts';

export function readCounter(method: 'get' | 'reset'): Run {
  return async (invocation, { args }) => {
    const key = args[0]!;
    const client = await invocation.client();
    show(invocation, key, await client.counter[method](key));
  };
}

export function changeCounter(method: 'max' | 'min'): Run {
  return async (invocation, { args }) => {
    const [key = '', n = '1'] = args;
    const by = parseInteger(n, 'N');
    const client = await invocation.client();
    show(invocation, key, await client.counter[method](key, by));
  };
}

export const addToCounter: Run = async (invocation, { args, options }) => {
  const [key = '', n = '1'] = args;
  const by = parseInteger(n, 'N');
  const ttl = options['ttl'];
  const client = await invocation.client();
  const until = typeof ttl === 'string' ? parseDuration(ttl, '--ttl') : undefined;
  show(invocation, key, await client.counter.add(key, by, { ttl: until }));
};

export const listCounters: Run = async (invocation, { args }) => {
  const { terminal, json } = invocation;
  const client = await invocation.client();
  const rows: string[][] = [];
  for await (const { key, value, till } of client.counter.list(args[0] ?? '', { limit: 1000 })) {
    if (json) terminal.json({ Key: key, Value: value, ...(till !== undefined && { TillMs: till }) });
    else rows.push([key, String(value)]);
  }
  if (rows.length > 0) terminal.table(['COUNTER', 'VALUE'], rows);
};

export const setCounter: Run = async (invocation, { args, options }) => {
  const [key = '', n = ''] = args;
  const ifEq = options['if-eq'];
  const expected = typeof ifEq === 'string' ? parseInteger(ifEq, '--if-eq') : undefined;
  const value = parseInteger(n, 'N');
  const client = await invocation.client();
  show(invocation, key, await client.counter.set(key, value, { ifEq: expected }));
};

function show({ terminal, json }: Invocation, key: string, value: number): void {
  if (json) terminal.json({ Key: key, Value: value });
  else terminal.line(String(value));
}
