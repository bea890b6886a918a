/**
 * The scale of the load faults. `npm test` runs all of them with numbers that fit into seconds. `npm run torture` sets
 * `DRAGONLOCK_LOAD_SCALE=full`, which runs them with those of the requirement (thousands of connections).
 */
import fs from 'node:fs';

const scale = process.env['DRAGONLOCK_LOAD_SCALE'] ?? 'small';
if (scale !== 'small' && scale !== 'full') {
  throw new Error(`DRAGONLOCK_LOAD_SCALE is ${JSON.stringify(scale)}; wanted small or full`);
}
export const full = scale === 'full';

export function sized(small: number, large: number): number {
  return full ? large : small;
}

/** File limit of this process and of the server, its child. Node raises its own limit to the hard one. */
const openFilesMax = Number(
  /^Max open files\s+\S+\s+(\d+)/m.exec(
    fs.existsSync('/proc/self/limits') ? fs.readFileSync('/proc/self/limits', 'utf8') : '',
  )?.[1] ?? Infinity,
);
/** Files that a server and a test need besides. */
const otherFiles = 500;

/** For a test's `skip`: why this machine cannot open that many connections, or false. */
export function tooFewFiles(connections: number): string | false {
  if (connections + otherFiles <= openFilesMax) return false;
  return `${connections} connections need more than ${openFilesMax} open files (raise it: ulimit -Hn)`;
}
