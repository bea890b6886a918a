/** A message that a consumer of this queue would get now, as the log has it: a consumer must not wait beside it. */
import { kinds } from '../../src/protocol/record.ts';
import {
  decodeQueue,
  partPrefix,
  plainQueue,
  type PartLetter,
} from '../../src/shard-worker/core/state/queue-records.ts';
import type { Stored, Timeline } from './timeline.ts';

/** Undefined: there is none, or the policy may hold it back. */
export function readyMessage(timeline: Timeline, account: string, queue: string, now: number): string | undefined {
  const rows = [...timeline.entries(kinds.queue, account, Infinity)].filter(([key]) => key.startsWith(`${queue}\0`));
  const settings = rows.find(([key]) => key === partPrefix(queue, 'p', 0))?.[1];
  const { paused, policy, generation } =
    settings === undefined ? plainQueue : decodeQueue(settings.value!, settings.rev);
  if (paused || policy.Parallel > 0) return undefined;
  const partsOf = (letter: PartLetter): [rest: string, Stored][] => {
    const prefix = partPrefix(queue, letter, generation);
    return rows.flatMap(([key, stored]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), stored]] : []));
  };
  const states = new Set(partsOf('s').map(([place]) => place));
  const fresh = partsOf('m').find(([rest, { till }]) => {
    return !states.has(rest.slice(1)) && (till === 0 || till > now);
  });
  if (fresh !== undefined) return `the fresh ${fresh[0]}`;
  // The time of what is ready again may be over.
  const mayEnd = [...partsOf('m'), ...partsOf('d'), ...partsOf('g')].some(([, { till }]) => till !== 0);
  const again = mayEnd ? undefined : partsOf('r')[0];
  return again === undefined ? undefined : `${again[1].value!} at ${again[0]}`;
}
