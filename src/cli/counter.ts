/** `dragonlock counter`: get, add, set, max, min, reset. */
import type { Run } from './command-spec.ts';
import type { Invocation } from './invocation.ts';
import { parseInteger } from './parse.ts';

export function readCounter(method: 'get' | 'reset'): Run {
  return async (invocation, { args }) => {
    const key = args[0]!;
    const client = await invocation.client();
    show(invocation, key, await client.counter[method](key));
  };
}

export function changeCounter(method: 'add' | 'max' | 'min'): Run {
  return async (invocation, { args }) => {
    const [key = '', n = '1'] = args;
    const by = parseInteger(n, 'N');
    const client = await invocation.client();
    show(invocation, key, await client.counter[method](key, by));
  };
}

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
