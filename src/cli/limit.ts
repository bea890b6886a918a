/** `dragonlock limit`: takes from a rate limit. */
import type { Run } from './command-spec.ts';
import { NegativeResult, UsageError } from './exit-codes.ts';
import { parseDuration, parseInteger } from './parse.ts';

export const limitCommand: Run = async (invocation, { args, options }) => {
  const key = args[0]!;
  const { per, burst, cost, wait } = options;
  const client = await invocation.client();
  const { allowed, left, resetMs, retryAfterMs } = await client.limit(key, {
    rate: rateOf(options['rate']),
    per: typeof per === 'string' ? parseDuration(per, '--per') : undefined,
    burst: typeof burst === 'string' ? parseInteger(burst, '--burst') : undefined,
    cost: typeof cost === 'string' ? parseInteger(cost, '--cost') : undefined,
    wait: typeof wait === 'string' ? parseDuration(wait, '--wait') : undefined,
  });
  const { terminal, json } = invocation;
  if (json) terminal.json({ Key: key, Allowed: allowed, Left: left, ResetMs: resetMs, RetryAfterMs: retryAfterMs });
  else if (allowed) terminal.line(String(left));
  if (allowed) return;
  if (json) invocation.exitCode = 1;
  else throw new NegativeResult(`The limit ${JSON.stringify(key)} has ${left} left; try again in ${retryAfterMs} ms.`);
};

function rateOf(text: string | true | undefined): number {
  if (typeof text !== 'string' || !/^\d+(\.\d+)?$/.test(text))
    throw new UsageError(`--rate: expected a number, got ${JSON.stringify(text)}`);
  return Number(text);
}
