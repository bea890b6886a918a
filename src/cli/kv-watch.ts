/**
 * `dragonlock kv watch`: prints one line for each change as long as it runs, across restarts of the server too. For a
 * key it prints the latest state, for a prefix every commit. After a gap in a prefix watch, it compares the current
 * list with the changes it has printed, so that the lines still add up to the current state.
 */
import type { DragonLock } from '../client/dragon-lock.ts';
import type { Change } from '../client/watch-events.ts';
import type { Run } from './command-spec.ts';
import { UsageError } from './exit-codes.ts';
import { formatKey, wireEntry } from './format.ts';
import type { Invocation } from './invocation.ts';
import { parseInteger } from './parse.ts';

type PrintedChange = Change & { readonly rev?: number };

export const watchKey: Run = async (invocation, { args, options }) => {
  const key = args[0]!;
  const { prefix, once, after, 'if-version': ifVersion } = options;
  if (prefix && ifVersion !== undefined) throw new UsageError('with --prefix: expected --after, got --if-version');
  if (!prefix && after !== undefined) throw new UsageError('without --prefix: expected --if-version, got --after');
  const version = typeof ifVersion === 'string' ? parseInteger(ifVersion, '--if-version') : undefined;
  const rev = typeof after === 'string' ? parseInteger(after, '--after') : undefined;
  const client = await invocation.client();
  for await (const change of prefix ? changesUnder(client, key, rev) : statesOf(client, key, version)) {
    show(change, invocation);
    if (once) return;
  }
};

async function* statesOf(client: DragonLock, key: string, version: number | undefined): AsyncGenerator<PrintedChange> {
  for await (const state of client.watch.key(key, { version })) {
    if (state.kind === 'none') yield { kind: 'delete', key, expired: state.expired };
    else yield { kind: 'set', key, version: state.version, value: state.value };
  }
}

async function* changesUnder(
  client: DragonLock,
  prefix: string,
  after: number | undefined,
): AsyncGenerator<PrintedChange> {
  const known = new Map<string, number>();
  for await (const event of client.watch.prefix(prefix, { after })) {
    const { rev } = event;
    const changes: Change[] = event.kind === 'commit' ? [...event.changes] : [];
    if (event.kind === 'list') {
      const there = new Set(event.entries.map(({ key }) => key));
      for (const key of known.keys()) if (!there.has(key)) changes.push({ kind: 'delete', key, expired: false });
      for (const entry of event.entries) {
        if (known.get(entry.key) !== entry.version) changes.push({ kind: 'set', ...entry });
      }
    }
    for (const change of changes) {
      if (change.kind === 'set') known.set(change.key, change.version);
      else known.delete(change.key);
      yield { ...change, rev };
    }
  }
}

function show(change: PrintedChange, { terminal, json }: Invocation): void {
  if (change.kind === 'set') {
    if (json) terminal.json({ ...wireEntry(change), Rev: change.rev });
    else terminal.line(`set ${formatKey(change.key)} ${JSON.stringify(change.value)}`);
  } else if (json) {
    terminal.json({
      Key: change.key,
      Version: 0,
      Deleted: true,
      ...(change.expired && { Expired: true }),
      Rev: change.rev,
    });
  } else terminal.line(`${change.expired ? 'expired' : 'deleted'} ${formatKey(change.key)}`);
}
