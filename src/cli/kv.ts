/** `dragonlock kv`: get, put, del, list; `watch` is in kv-watch.ts. */
import type { Command } from 'commander';
import { NegativeResult, UsageError } from './exit-codes.ts';
import { readInput } from './files.ts';
import { formatKey, wireEntry } from './format.ts';
import type { Invocation } from './invocation.ts';
import { addKvWatch } from './kv-watch.ts';
import { parseDuration, parseInteger, parseJson } from './parse.ts';

export function addKv(program: Command, invocation: Invocation): void {
  const kv = program.command('kv').description('keys and values');
  addGet(kv, invocation);
  addPut(kv, invocation);
  addDelete(kv, invocation);
  addList(kv, invocation);
  addKvWatch(kv, invocation);
}

function addGet(kv: Command, invocation: Invocation): void {
  kv.command('get')
    .description('print the value: a string as it is, anything else as JSON; exits with 1 if there is no such key')
    .argument('<key>')
    .action(async (key: string) => {
      const entry = await (await invocation.client()).kv.get(key);
      if (entry === undefined) throw new NegativeResult(`There is no key ${JSON.stringify(key)}.`);
      const { terminal } = invocation;
      if (invocation.json) return terminal.json(wireEntry(entry));
      const text = typeof entry.value === 'string' ? entry.value : JSON.stringify(entry.value);
      terminal.write(text.endsWith('\n') ? text : `${text}\n`);
    });
}

interface PutOptions {
  readonly jsonValue?: boolean;
  readonly ifVersion?: string;
  readonly ifAbsent?: boolean;
  readonly ttl?: string;
}

function addPut(kv: Command, invocation: Invocation): void {
  kv.command('put')
    .description('set the key; the value is stored as a string')
    .argument('<key>')
    .argument('<value>', '- reads it from stdin, unchanged')
    .option('-j, --json-value', 'parse the value as JSON')
    .option('--if-version <n>', 'only if the key has this version')
    .option('--if-absent', 'only if the key does not exist')
    .option('--ttl <duration>', 'the key expires after this')
    .action(async (key: string, given: string, { jsonValue, ifVersion, ifAbsent, ttl }: PutOptions) => {
      if (ifAbsent && ifVersion !== undefined) {
        throw new UsageError('expected --if-absent or --if-version, got both');
      }
      const options = {
        version: ifAbsent ? 0 : versionOf(ifVersion),
        ttl: ttl === undefined ? undefined : parseDuration(ttl, '--ttl'),
      };
      const text = given === '-' ? readInput('-') : given;
      const value = jsonValue ? parseJson(text, 'the value') : text;
      const version = await (await invocation.client()).kv.set(key, value, options);
      if (invocation.json) invocation.terminal.json({ Key: key, Version: version });
    });
}

function addDelete(kv: Command, invocation: Invocation): void {
  kv.command('del')
    .description('delete the key; a missing key is no error')
    .argument('<key>')
    .option('--if-version <n>', 'only if the key has this version')
    .action(async (key: string, { ifVersion }: { ifVersion?: string }) => {
      const deleted = await (await invocation.client()).kv.delete(key, { version: versionOf(ifVersion) });
      if (invocation.json) invocation.terminal.json({ Key: key, Version: 0, Deleted: deleted });
      else if (!deleted) invocation.terminal.errorLine(`There was no key ${JSON.stringify(key)}.`);
    });
}

interface ListOptions {
  readonly keys?: boolean;
  readonly limit?: string;
}

function addList(kv: Command, invocation: Invocation): void {
  kv.command('list')
    .description('list keys in order, with versions and values')
    .argument('[prefix]', 'only keys that begin with this', '')
    .option('--keys', 'print only the keys, one a line')
    .option('--limit <n>', 'list at most N keys')
    .action(async (prefix: string, { keys, limit }: ListOptions) => {
      const { terminal, json } = invocation;
      const most = limit === undefined ? Infinity : parseInteger(limit, '--limit');
      const client = await invocation.client();
      const rows: string[][] = [];
      let seen = 0;
      if (most > 0) {
        for await (const entry of client.kv.list(prefix, { limit: Math.min(most, 1000) })) {
          if (json) terminal.json(wireEntry(entry));
          else if (keys) terminal.line(formatKey(entry.key));
          else rows.push([entry.key, String(entry.version), JSON.stringify(entry.value)]);
          seen += 1;
          if (seen >= most) break;
        }
      }
      if (rows.length > 0) terminal.table(['KEY', 'VERSION', 'VALUE'], rows);
    });
}

function versionOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const version = parseInteger(text, '--if-version');
  if (version < 0) throw new UsageError(`--if-version: expected a version, got ${version}`);
  return version;
}
