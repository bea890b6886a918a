/**
 * How messages cross a MessagePort. Cloning objects costs several microseconds each; text and flat arrays of primitives
 * do not. To a shard goes one JSON text a turn; from it comes one array, its replies as runs of five:
 *
 *   [durable, [id, rev, status, body, extra, id, rev, …], other]
 *
 * `extra` is 0, 1 (replayed) or the grant as JSON text; `other` is 0 or the JSON text of everything that is rare.
 */
import type { FromShard, ToShard } from './messages.ts';
import type { Grant, Reply } from './replies.ts';
import { revision } from './ids.ts';

export type FromShardWire = [durable: number, replies: (number | string)[], other: string | 0];

export function encodeToShard(messages: readonly ToShard[]): string {
  return JSON.stringify(messages);
}

export function decodeToShard(wire: string): ToShard[] {
  return JSON.parse(wire) as ToShard[];
}

export function encodeFromShard(message: FromShard): FromShardWire {
  const { durable, replies, ...other } = message;
  const flat: (number | string)[] = [];
  for (const { id, reply } of replies) {
    const extra = reply.grant !== undefined ? JSON.stringify(reply.grant) : reply.replayed ? 1 : 0;
    flat.push(id, reply.rev, reply.status, reply.body, extra);
  }
  const { events, batons, stats, closed } = other;
  const quiet = events.length + batons.length + stats.length + closed.length === 0;
  return [durable, flat, quiet ? 0 : JSON.stringify(other)];
}

export function decodeFromShard([durable, flat, other]: FromShardWire): FromShard {
  const replies: { id: number; reply: Reply }[] = [];
  for (let i = 0; i < flat.length; i += 5) {
    const extra = flat[i + 4]!;
    const reply: Reply = {
      rev: revision(flat[i + 1] as number),
      status: flat[i + 2] as number,
      body: flat[i + 3] as string,
    };
    const whole: Reply =
      extra === 0
        ? reply
        : extra === 1
          ? { ...reply, replayed: true }
          : { ...reply, grant: JSON.parse(extra as string) as Grant };
    replies.push({ id: flat[i] as number, reply: whole });
  }
  const rare =
    other === 0
      ? { events: [], batons: [], stats: [], closed: [] }
      : (JSON.parse(other) as Omit<FromShard, 'durable' | 'replies'>);
  return { durable: revision(durable), replies, ...rare };
}
