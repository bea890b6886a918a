/** The first line of a script, as of Redis 7: `#!lua name=x flags=no-writes,allow-oom`. */

export interface ScriptHeader {
  /** What is wrong with it, for `-ERR`. */
  readonly wrong?: string;
  /** The script may not write. */
  readonly readOnly?: true;
  /** The source without what Lua does not know; its lines keep their numbers. */
  readonly body: string;
}

/** Those but `no-writes` are about memory and clusters: they change nothing here. */
const flags: ReadonlySet<string> = new Set([
  'no-writes',
  'allow-oom',
  'allow-stale',
  'no-cluster',
  'allow-cross-slot-keys',
]);

export function headerOf(source: string): ScriptHeader {
  if (!source.startsWith('#!')) return { body: source };
  const end = source.indexOf('\n');
  if (end < 0) return wrong('Invalid script shebang');
  const [engine = '', ...options] = source.slice(2, end).trim().split(/\s+/);
  if (engine !== 'lua') return wrong(`Unexpected engine in script shebang: ${engine}`);
  const given: string[] = [];
  for (const option of options) {
    if (!option.startsWith('flags=')) return wrong(`Unknown lua shebang option: ${option}`);
    given.push(...option.slice('flags='.length).split(',').filter(Boolean));
  }
  const strange = given.find((flag) => !flags.has(flag));
  if (strange !== undefined) return wrong(`Unexpected flag in script shebang: ${strange}`);
  return { ...(given.includes('no-writes') && { readOnly: true }), body: source.slice(end) };
}

function wrong(text: string): ScriptHeader {
  return { wrong: text, body: '' };
}
