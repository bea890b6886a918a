/** `dragonlock kv`: get, put, del, list; `watch` is in kv-watch.ts. */
import type { Run } from './command-spec.ts';
import { NegativeResult, UsageError } from './exit-codes.ts';
import { readInput } from './files.ts';
import { formatKey, wireEntry } from './format.ts';
import { parseDuration, parseInteger, parseJson } from './parse.ts';

export const getKey: Run = async (invocation, { args }) => {
  const key = args[0]!;
  const { terminal, json } = invocation;
  const entry = await (await invocation.client()).kv.get(key);
  if (entry === undefined) throw new NegativeResult(`There is no key ${JSON.stringify(key)}.`);
  if (json) return terminal.json(wireEntry(entry));
  if (typeof entry.value !== 'string') return terminal.line(JSON.stringify(entry.value));
  // Byte for byte what was put; only on a terminal the prompt must not stand behind it.
  terminal.write(entry.value);
  if (terminal.isTerminal && !entry.value.endsWith('\n')) terminal.write('\n');
};

export const putKey: Run = async (invocation, { args, options }) => {
  const [key = '', given = ''] = args;
  const { ttl, 'if-version': ifVersion, 'if-absent': ifAbsent } = options;
  if (ifAbsent && ifVersion !== undefined) throw new UsageError('expected --if-absent or --if-version, got both');
  const conditions = {
    version: ifAbsent ? 0 : versionOf(ifVersion),
    ttl: typeof ttl === 'string' ? parseDuration(ttl, '--ttl') : undefined,
  };
  const text = given === '-' ? readInput('-') : given;
  const value = options['json-value'] ? parseJson(text, 'the value') : text;
  const version = await (await invocation.client()).kv.set(key, value, conditions);
  if (invocation.json) invocation.terminal.json({ Key: key, Version: version });
};

export const mergeKey: Run = async (invocation, { args, options }) => {
  const [key = '', given = ''] = args;
  const patch = parseJson(given === '-' ? readInput('-') : given, 'the patch');
  const client = await invocation.client();
  const version = await client.kv.merge(key, patch, { version: versionOf(options['if-version']) });
  if (invocation.json) invocation.terminal.json({ Key: key, Version: version });
};

export const deleteKey: Run = async (invocation, { args, options }) => {
  const { terminal, json } = invocation;
  const { prefix, all } = options;
  if (prefix !== undefined || all === true) {
    if (args.length > 0 || options['if-version'] !== undefined || (prefix !== undefined && all === true))
      throw new UsageError('expected a key, --prefix or --all, got several');
    const client = await invocation.client();
    const deleted = await client.kv.deletePrefix(typeof prefix === 'string' ? prefix : '', { all: all === true });
    if (json) return terminal.json({ Deleted: deleted });
    return terminal.line(String(deleted));
  }
  const [key] = args;
  if (key === undefined) throw new UsageError('expected a key, or --prefix');
  const version = versionOf(options['if-version']);
  const deleted = await (await invocation.client()).kv.delete(key, { version });
  if (json) terminal.json({ Key: key, Version: 0, Deleted: deleted });
  else if (!deleted) terminal.errorLine(`There was no key ${JSON.stringify(key)}.`);
};

export const listKeys: Run = async (invocation, { args, options }) => {
  const { terminal, json } = invocation;
  const { keys, limit } = options;
  const most = typeof limit === 'string' ? parseInteger(limit, '--limit') : Infinity;
  const client = await invocation.client();
  const rows: string[][] = [];
  let seen = 0;
  if (most > 0) {
    for await (const entry of client.kv.list(args[0] ?? '', { limit: Math.min(most, 1000) })) {
      if (json) terminal.json(wireEntry(entry));
      else if (keys) terminal.line(formatKey(entry.key));
      else rows.push([entry.key, String(entry.version), JSON.stringify(entry.value)]);
      seen += 1;
      if (seen >= most) break;
    }
  }
  if (rows.length > 0) terminal.table(['KEY', 'VERSION', 'VALUE'], rows);
};

function versionOf(text: string | true | undefined): number | undefined {
  if (typeof text !== 'string') return undefined;
  const version = parseInteger(text, '--if-version');
  if (version < 0) throw new UsageError(`--if-version: expected a version, got ${version}`);
  return version;
}
