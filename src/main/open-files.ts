/**
 * How many connections the limit of open files leaves room for. The journal opens a file for each new segment; without
 * one, no write can be acknowledged. So connections are bounded well below the limit (`limits.connections_max`).
 */
import fs from 'node:fs';
import type { Config } from '../front-end/config-schema.ts';
import { defaultLimits } from '../shared/limits.ts';

/** For the process: the store, the journal, standard streams, and a margin. */
const filesOfProcess = 64;
/** For the event loop of a thread, its files of the store, and what it opens for a moment. */
const filesOfThread = 16;
/** One part in as many is left for watches, each of which may read the journal through a file of its own. */
const historyShare = 8;

/** Whoever has not asked for a number of connections is told of fewer than this. */
const fewConnections = 10_000;

/** The process may open too few files to serve at all. */
export class TooFewFiles extends Error {
  override name = 'TooFewFiles';
}

/** @returns undefined where the system does not tell */
export function openFilesMax(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\d+|unlimited)/m.exec(fs.readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return soft === undefined ? undefined : soft === 'unlimited' ? Infinity : Number(soft);
  } catch {
    return undefined;
  }
}

type FilesConfig = Pick<Config, 'shards'> & {
  readonly http: Pick<Config['http'], 'threads'>;
  readonly limits: Pick<Config['limits'], 'connections_max'>;
};

export interface ConnectionsForFiles {
  /** At most `limits.connections_max`. */
  readonly connectionsMax: number;
  /** What to tell the operator, when it is less. */
  readonly warning?: string;
}

/** @throws TooFewFiles */
export function connectionsFor(filesMax: number | undefined, config: FilesConfig): ConnectionsForFiles {
  const wanted = config.limits.connections_max;
  if (filesMax === undefined) return { connectionsMax: wanted };
  const own = filesOfProcess + filesOfThread * (config.shards + config.http.threads + 2);
  const left = Math.floor(filesMax - own - filesMax / historyShare);
  if (filesMax === Infinity || left >= wanted) return { connectionsMax: wanted };
  const needed = Math.ceil(((wanted + own) * historyShare) / (historyShare - 1));
  const raise = 'Raise the limit: ulimit -n, or LimitNOFILE in the unit.';
  if (left < 1) {
    throw new TooFewFiles(
      `Cannot start: the process may open only ${filesMax} files, and the server needs more than ` +
        `${Math.ceil(((own + 1) * historyShare) / (historyShare - 1))} before it accepts a connection. ${raise}`,
    );
  }
  if (wanted === defaultLimits.connections_max && left >= fewConnections) return { connectionsMax: left };
  const warning =
    `The process may open ${filesMax} files: at most ${left} connections are accepted. ` +
    `limits.connections_max is ${wanted}, which needs ${needed} files. ${raise} Or set limits.connections_max lower.`;
  return { connectionsMax: left, warning };
}
