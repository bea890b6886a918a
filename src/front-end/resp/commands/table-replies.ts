/** The table of commands as COMMAND tells of it. */
import type { RespCommandSpec } from '../command.ts';
import { refuseCommand } from '../resp-error.ts';
import { array, bulk, bytesOf, integer, simple, type Writer } from '../writer.ts';

/** Returns the flags that a command has by its row. */
function flagsOf({ flags, alone }: RespCommandSpec): string[] {
  return alone === true ? [...flags, 'no_multi'] : [...flags];
}

/** As in Redis: `@read`, `@write`, and the group. */
function categoriesOf({ flags, group }: RespCommandSpec): string[] {
  const categories = [group === 'generic' ? 'keyspace' : group];
  if (flags.includes('write')) categories.push('write');
  if (flags.includes('readonly')) categories.push('read');
  categories.push(flags.includes('fast') ? 'fast' : 'slow');
  return categories.map((name) => `@${name}`);
}

/** An item of COMMAND INFO. */
export function commandInfo(spec: RespCommandSpec, writer: Writer): string {
  const [first, last, step] = spec.keys ?? [0, 0, 0];
  const items = (names: readonly string[]): string => writer.set(names.map(simple));
  return array([
    bulk(spec.name),
    integer(spec.arity),
    items(flagsOf(spec)),
    integer(first),
    integer(last),
    integer(step),
    items(categoriesOf(spec)),
    array([]),
    array(spec.keys === undefined ? [] : [keySpec(spec, writer)]),
    array([]),
  ]);
}

function keySpec({ keys, flags }: RespCommandSpec, writer: Writer): string {
  const [first, last, step] = keys!;
  const begin = writer.fields({ type: bulk('index'), spec: writer.fields({ index: integer(first) }) });
  const range = { lastkey: integer(last < 0 ? last : last - first), keystep: integer(step), limit: integer(0) };
  const find = writer.fields({ type: bulk('range'), spec: writer.fields(range) });
  const access = flags.includes('write') ? ['RW', 'access', 'update'] : ['RO', 'access'];
  return writer.fields({ flags: writer.set(access.map(simple)), begin_search: begin, find_keys: find });
}

/** An item of COMMAND DOCS. */
export function docsOf({ summary, group, usage, differs }: RespCommandSpec, writer: Writer): string {
  const members = { summary, since: '1.0.0', group, complexity: usage, ...(differs !== undefined && { differs }) };
  return writer.map(Object.entries(members).flatMap(([name, value]) => [bulk(name), bulk(bytesOf(value))]));
}

/** The keys in a command with its arguments. @throws RespError */
export function keysOf(args: readonly string[], commands: ReadonlyMap<string, RespCommandSpec>): readonly string[] {
  const spec = commands.get(args[0]?.toLowerCase() ?? '');
  if (spec === undefined) return refuseCommand('ERR Invalid command specified');
  if (spec.arity > 0 ? args.length !== spec.arity : args.length < -spec.arity)
    return refuseCommand('ERR Invalid number of arguments specified for command');
  if (spec.keysIn !== undefined) return spec.keysIn(args);
  if (spec.keys === undefined) return refuseCommand('ERR The command has no key arguments');
  const [first, last, step] = spec.keys;
  const end = last < 0 ? args.length + last : last;
  return args.filter((_, at) => at >= first && at <= end && (at - first) % step === 0);
}
