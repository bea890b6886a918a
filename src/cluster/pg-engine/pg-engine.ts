/**
 * The engine over the PostgreSQL protocol: each call is one statement, one transaction and one round trip. It repeats nothing;
 * what an answer proves is said by `answers.ts`, and what to do about it by the fenced log.
 */
import { revision, type Revision } from '../../protocol/ids.ts';
import type {
  Cell,
  CellRow,
  Engine,
  EngineAnswer,
  LogFrame,
  LogPlace,
  NodeRow,
  Owned,
  Session,
  Snapshot,
} from '../engine.ts';
import { connectClient, destroy, within } from './connection.ts';
import { Connections } from './connections.ts';
import { parseEngineUrl, type EngineAddress } from './engine-url.ts';
import { loadPg, type Pg } from './load-pg.ts';
import { checkCluster, createCluster, readCluster, type ClusterRow } from './schema.ts';
import { readSettings, settingFaults, type EngineRules, type SettingFault } from './settings.ts';
import { statements, type StatementName } from './statements.ts';
import type { Client, QueryResultRow } from 'pg';

export interface PgEngineOptions extends EngineRules {
  readonly url: string;
  readonly connections?: number;
  readonly deadlineMs?: number;
  readonly report: (message: string) => void;
}

const connectionsDefault = 8;
const deadlineMsDefault = 5000;

interface CellColumns {
  readonly cell: number;
  readonly epoch: number;
  readonly session: number | null;
  readonly trimmed: number;
  readonly snapshotEpoch: number | null;
  readonly snapshotFirst: number;
  readonly snapshotLast: number;
  readonly snapshotChain: number;
  readonly snapshotParts: number;
}

type FrameColumns = Omit<LogFrame, 'first' | 'last'> & { readonly first: number; readonly last: number };

export class PgEngine implements Engine {
  readonly cluster: ClusterRow;
  readonly #connections: Connections;
  readonly #checking: () => Promise<SettingFault[]>;

  private constructor(cluster: ClusterRow, connections: Connections, checking: () => Promise<SettingFault[]>) {
    this.cluster = cluster;
    this.#connections = connections;
    this.#checking = checking;
  }

  /** @throws Error that names the setting, if the engine is set up so that acknowledged commits can be lost */
  static async open(options: PgEngineOptions): Promise<PgEngine> {
    const { url, single, requireSync, report } = options;
    const deadlineMs = options.deadlineMs ?? deadlineMsDefault;
    const pg = await loadPg();
    const address = parseEngineUrl(url);
    const checking = async (): Promise<SettingFault[]> =>
      settingFaults(await onPrimary({ pg, address, deadlineMs }, readSettings), { single, requireSync });
    const faults = await checking();
    const stops = faults.filter(({ stopsWrites }) => stopsWrites);
    if (stops.length > 0) throw new Error(stops.map(({ message }) => message).join('\n'));
    for (const { message } of faults) report(message);
    const cluster = checkCluster(await onPrimary({ pg, address, deadlineMs }, readCluster));
    const connections = options.connections ?? connectionsDefault;
    const pool = new Connections({ pg, address, clusterId: cluster.clusterId, connections, deadlineMs, report });
    return new PgEngine(cluster, pool, checking);
  }

  /**
   * What is wrong with the engine's settings now, on a connection of its own. To be asked with each beat: the database's
   * own fail-over may drop the synchronous standby.
   *
   * @throws Error if no primary answers
   */
  check(): Promise<SettingFault[]> {
    return this.#checking();
  }

  close(): void {
    this.#connections.close();
  }

  append({ cell, epoch, session }: Owned, frame: LogFrame, previous: LogPlace): Promise<EngineAnswer> {
    const { first, last, chain, bytes } = frame;
    return this.#change('append', [cell, epoch, session, first, last, chain, previous.first, previous.chain, bytes]);
  }

  barrier({ cell, epoch, session }: Owned): Promise<EngineAnswer> {
    return this.#change('barrier', [cell, epoch, session]);
  }

  async take(cell: Cell, seen: number, session: Session): Promise<EngineAnswer<CellRow>> {
    return this.#oneCell('take', [cell, seen, session]);
  }

  handOver({ cell, epoch, session }: Owned, end: LogPlace, to: Session): Promise<EngineAnswer> {
    return this.#change('handOver', [cell, epoch, session, end.first, end.chain, to]);
  }

  trim({ cell, epoch, session }: Owned, upTo: Revision): Promise<EngineAnswer> {
    return this.#change('trim', [cell, epoch, session, upTo]);
  }

  putPart({ cell, epoch, session }: Owned, last: Revision, part: number, bytes: Buffer): Promise<EngineAnswer> {
    return this.#change('putPart', [cell, epoch, session, last, part, bytes]);
  }

  publish({ cell, epoch, session }: Owned, { first, last, chain, parts }: Snapshot): Promise<EngineAnswer> {
    return this.#change('publish', [cell, epoch, session, first, last, chain, parts]);
  }

  async readPart(cell: Cell, { epoch, last }: Snapshot, part: number): Promise<EngineAnswer<Buffer | undefined>> {
    return this.#rows<{ bytes: Buffer }, Buffer | undefined>(
      'readPart',
      [cell, epoch, last, part],
      ([row]) => row?.bytes,
    );
  }

  async look(cell: Cell): Promise<EngineAnswer<CellRow>> {
    return this.#oneCell('look', [cell]);
  }

  async frameAt(cell: Cell, first: Revision): Promise<EngineAnswer<LogFrame | undefined>> {
    return this.#rows<FrameColumns, LogFrame | undefined>('frameAt', [cell, first], ([row]) => row && frameOf(row));
  }

  async read(cell: Cell, after: Revision, framesMax: number): Promise<EngineAnswer<readonly LogFrame[]>> {
    return this.#rows<FrameColumns, LogFrame[]>('read', [cell, after, framesMax], (rows) => rows.map(frameOf));
  }

  join(node: string, session: Session, seen: Session | undefined): Promise<EngineAnswer> {
    return seen === undefined
      ? this.#change('joinNew', [node, session])
      : this.#change('joinAfter', [node, session, seen]);
  }

  beat(node: string, session: Session): Promise<EngineAnswer> {
    return this.#change('beat', [node, session]);
  }

  fence(node: string, session: Session, seen: number): Promise<EngineAnswer> {
    return this.#change('fence', [node, session, seen]);
  }

  async nodes(): Promise<EngineAnswer<readonly NodeRow[]>> {
    return this.#rows<NodeRow & QueryResultRow, readonly NodeRow[]>('nodes', [], (rows) => rows);
  }

  /** The engine's wall clock, in milliseconds since the Unix epoch. */
  async time(): Promise<EngineAnswer<number>> {
    return this.#rows<{ now: number }, number>('time', [], (rows) => rows[0]!.now);
  }

  async #change(name: StatementName, values: readonly unknown[]): Promise<EngineAnswer> {
    const answer = await this.#connections.run({ name, text: statements[name], values });
    if (answer.kind !== 'done') return { kind: answer.kind };
    return answer.count === 1 ? { kind: 'done', result: undefined } : { kind: 'refused' };
  }

  async #oneCell(name: StatementName, values: readonly unknown[]): Promise<EngineAnswer<CellRow>> {
    const answer = await this.#connections.run<CellColumns>({ name, text: statements[name], values });
    if (answer.kind !== 'done') return { kind: answer.kind };
    const row = answer.rows[0];
    if (row === undefined) return { kind: 'refused' };
    return { kind: 'done', result: cellOf(row) };
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says what the statement's rows are
  async #rows<Row extends QueryResultRow, Result>(
    name: StatementName,
    values: readonly unknown[],
    resultOf: (rows: readonly Row[]) => Result,
  ): Promise<EngineAnswer<Result>> {
    const answer = await this.#connections.run<Row>({ name, text: statements[name], values });
    return answer.kind === 'done' ? { kind: 'done', result: resultOf(answer.rows) } : { kind: answer.kind };
  }
}

/** Makes the tables of a cluster. @throws Error if there is one, or the database is not to be reached */
export async function makeCluster(url: string, cells: number): Promise<ClusterRow> {
  const pg = await loadPg();
  return onPrimary({ pg, address: parseEngineUrl(url), deadlineMs: deadlineMsDefault }, (client) =>
    createCluster(client, cells),
  );
}

/** Runs on a connection of its own to the host that is the primary. */
async function onPrimary<Result>(
  { pg, address, deadlineMs }: { readonly pg: Pg; readonly address: EngineAddress; readonly deadlineMs: number },
  run: (client: Client) => Promise<Result>,
): Promise<Result> {
  const reasons: string[] = [];
  for (const host of address.hosts) {
    let client: Client;
    try {
      client = await connectClient({ pg, address, host, deadlineMs });
    } catch (error) {
      reasons.push(`${host.host}:${host.port}: ${(error as Error).message}`);
      continue;
    }
    try {
      const { rows } = await within(
        deadlineMs,
        client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby'),
      );
      if (!rows[0]!.standby) return await within(deadlineMs, run(client));
      reasons.push(`${host.host}:${host.port}: it is a standby`);
    } finally {
      destroy(client);
    }
  }
  throw new Error(`No host of the engine serves: ${reasons.join('; ')}`);
}

function cellOf(row: CellColumns): CellRow {
  const { cell, epoch, session, trimmed, snapshotEpoch } = row;
  const snapshot =
    snapshotEpoch === null
      ? undefined
      : {
          epoch: snapshotEpoch,
          first: revision(row.snapshotFirst),
          last: revision(row.snapshotLast),
          chain: row.snapshotChain,
          parts: row.snapshotParts,
        };
  return { cell, epoch, session: session ?? undefined, trimmed: revision(trimmed), snapshot };
}

function frameOf(row: FrameColumns): LogFrame {
  return { ...row, first: revision(row.first), last: revision(row.last) };
}
