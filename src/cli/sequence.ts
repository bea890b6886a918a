/** `dragonlock seq`: next, get, reset. */
import type { Run } from './command-spec.ts';
import { UsageError } from './exit-codes.ts';
import { parseInteger } from './parse.ts';

export const nextNumbers: Run = async (invocation, { args, options }) => {
  const { terminal, json } = invocation;
  const key = args[0]!;
  const { block } = options;
  const n = typeof block === 'string' ? parseInteger(block, '--block') : 1;
  if (n < 1) throw new UsageError(`--block: expected 1 or more, got ${n}`);
  const { from, to } = await (await invocation.client()).sequence.block(key, n);
  if (json) terminal.json({ Key: key, From: from, To: to });
  else terminal.line(block === undefined ? String(to) : `${from} ${to}`);
};

export const lastNumber: Run = async (invocation, { args }) => {
  const { terminal, json } = invocation;
  const key = args[0]!;
  const value = await (await invocation.client()).sequence.get(key);
  if (json) terminal.json({ Key: key, Value: value });
  else terminal.line(String(value));
};

export const resetSequence: Run = async (invocation, { args }) => {
  const key = args[0]!;
  await (await invocation.client()).sequence.reset(key);
  if (invocation.json) invocation.terminal.json({ Key: key, Value: 0 });
};
