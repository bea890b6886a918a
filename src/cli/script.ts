/** `dragonlock script`: put, call, eval, list, show, del. */
import type { ScriptResult } from '../client/scripts.ts';
import type { Run } from './command-spec.ts';
import { NegativeResult } from './exit-codes.ts';
import { readInput } from './files.ts';
import type { Invocation, Options } from './invocation.ts';
import { parseInteger, parseJson } from './parse.ts';

export const putScript: Run = async (invocation, { args, options }) => {
  const [name = '', file = ''] = args;
  const source = readInput(file);
  const client = await invocation.client();
  const version = await client.scripts.put(name, source, { version: versionOf(options) });
  if (invocation.json) invocation.terminal.json({ Name: name, Version: version });
  else invocation.terminal.line(String(version));
};

export const callScript: Run = async (invocation, { args, options }) => {
  const [name = '', given = 'null'] = args;
  const values = argsOf(given);
  const client = await invocation.client();
  const { 'use-version': version } = options;
  const of = typeof version === 'string' ? { version: parseInteger(version, '--use-version') } : {};
  show(invocation, await client.scripts.call(name, values, { ...of, ...callOptions(options) }));
};

export const evalScript: Run = async (invocation, { args, options }) => {
  const [file = '', given = 'null'] = args;
  const source = readInput(file);
  const values = argsOf(given);
  const client = await invocation.client();
  show(invocation, await client.scripts.eval(source, values, callOptions(options)));
};

export const listScripts: Run = async (invocation, { args }) => {
  const { terminal, json } = invocation;
  const client = await invocation.client();
  const rows: string[][] = [];
  for await (const { name, version, at, bytes } of client.scripts.list(args[0] ?? '', { limit: 1000 })) {
    if (json) terminal.json({ Name: name, Version: version, AtMs: at, Bytes: bytes });
    else rows.push([name, String(version), String(bytes)]);
  }
  if (rows.length > 0) terminal.table(['SCRIPT', 'VERSION', 'BYTES'], rows);
};

export const showScript: Run = async (invocation, { args, options }) => {
  const { terminal, json } = invocation;
  const { 'use-version': version } = options;
  const of = typeof version === 'string' ? { version: parseInteger(version, '--use-version') } : {};
  const client = await invocation.client();
  const script = await client.scripts.get(args[0]!, of);
  if (json) {
    const { name, source, at, versions } = script;
    return terminal.json({ Name: name, Version: script.version, Source: source, AtMs: at, Versions: versions });
  }
  terminal.write(script.source);
  if (terminal.isTerminal && !script.source.endsWith('\n')) terminal.write('\n');
};

export const deleteScript: Run = async (invocation, { args, options }) => {
  const name = args[0]!;
  const client = await invocation.client();
  const deleted = await client.scripts.delete(name, { version: versionOf(options) });
  if (invocation.json) invocation.terminal.json({ Name: name, Deleted: deleted });
  if (!deleted) throw new NegativeResult(`There was no script ${JSON.stringify(name)}.`);
};

function versionOf({ 'if-version': version }: Options): number | undefined {
  return typeof version === 'string' ? parseInteger(version, '--if-version') : undefined;
}

function argsOf(given: string): unknown {
  return parseJson(given === '-' ? readInput('-') : given, 'the arguments');
}

function callOptions({ keys, cpu, id }: Options) {
  return {
    ...(typeof keys === 'string' && { keys: keys.split(',') }),
    ...(typeof cpu === 'string' && { cpu: parseInteger(cpu, '--cpu') }),
    ...(typeof id === 'string' && { idempotency: { ids: [id] } }),
  };
}

/** The result as JSON; what the script logged goes to stderr. */
function show({ terminal, json }: Invocation, called: ScriptResult<unknown>): void {
  const { result, log, version, tries, cpuMs, rev } = called;
  if (json) {
    const of = version === undefined ? {} : { Version: version };
    return terminal.json({ Result: result, Log: log, ...of, Tries: tries, CPUMs: cpuMs, Rev: rev });
  }
  for (const line of log) terminal.errorLine(line);
  terminal.line(JSON.stringify(result));
}
