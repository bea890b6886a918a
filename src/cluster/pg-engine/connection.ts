/**
 * One connection, one statement at a time: so a warning belongs to the statement that runs. A connection on which anything
 * unclear has happened is destroyed, and never used again.
 */
import type { Client, QueryResultRow } from 'pg';
import { classOfFailure, isWarning } from './answers.ts';
import type { EngineAddress, EngineHost } from './engine-url.ts';
import type { Pg } from './load-pg.ts';
import { checkCluster, readCluster } from './schema.ts';
import { holdSettings, startOptions } from './settings.ts';

export interface EngineQuery {
  /** Of the prepared statement. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

export type EngineQueryAnswer<Row extends QueryResultRow> =
  | { readonly kind: 'done'; readonly rows: readonly Row[]; readonly count: number }
  | { readonly kind: 'nothing' | 'full' | 'unknown'; readonly error: Error };

export interface ConnectRequest {
  readonly pg: Pg;
  readonly address: EngineAddress;
  readonly host: EngineHost;
  readonly deadlineMs: number;
}

const int8 = 20;
/** As `pg` answers it: hex text. Its binary mode corrupts what is large. */
const parsers = (pg: Pg): { getTypeParser: typeof pg.types.getTypeParser } => ({
  getTypeParser: ((oid: number, format: 'text' | 'binary') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
});

/** A client that is connected to one host, not looked at yet. Its errors are told by its queries. */
export async function connectClient({ pg, address, host, deadlineMs }: ConnectRequest): Promise<Client> {
  const { user, password, database, ssl } = address;
  const client = new pg.Client({
    ...host,
    ssl,
    connectionTimeoutMillis: deadlineMs,
    keepAlive: true,
    application_name: 'dragonlock',
    options: startOptions,
    types: parsers(pg),
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    destroy(client);
    throw error;
  }
  return client;
}

/** `end()` of a client waits for a server that may be cut off. */
export function destroy(client: Client): void {
  const { stream } = (client as Client & { connection: { stream: { destroy(): void } } }).connection;
  stream.destroy();
}

export class EngineConnection {
  readonly #client: Client;
  readonly #deadlineMs: number;
  #warned: Error | undefined;
  #isClosed = false;
  /** The server cannot write (any more): the primary is elsewhere. */
  isElsewhere = false;
  /** The last error that only somebody who changes the database can end. */
  operatorError: Error | undefined;

  private constructor(client: Client, deadlineMs: number) {
    this.#client = client;
    this.#deadlineMs = deadlineMs;
    client.on('notice', (notice) => {
      if (isWarning(notice.code)) this.#warned = new Error(`The engine warned: ${notice.code} ${notice.message}`);
    });
    client.on('end', () => void (this.#isClosed = true));
  }

  /** @throws Error if the host is not there, is a standby, or has another cluster than `clusterId` */
  static async open(request: ConnectRequest, clusterId: string): Promise<EngineConnection> {
    const client = await connectClient(request);
    const { deadlineMs } = request;
    try {
      await within(deadlineMs, lookAt(client, clusterId));
    } catch (error) {
      destroy(client);
      throw error;
    }
    return new EngineConnection(client, deadlineMs);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Never throws. A connection whose answer is `unknown` is closed. */
  async run<Row extends QueryResultRow>({ name, text, values }: EngineQuery): Promise<EngineQueryAnswer<Row>> {
    this.#warned = undefined;
    try {
      const sent = this.#client.query<Row>({ name, text, values: [...values] });
      const { rows, rowCount } = await within(this.#deadlineMs, sent);
      if (this.#warned !== undefined) throw this.#warned;
      return { kind: 'done', rows, count: rowCount ?? 0 };
    } catch (thrown) {
      return this.#failed(thrown as Error & { readonly code?: string });
    }
  }

  async #failed(error: Error & { readonly code?: string }): Promise<EngineQueryAnswer<never>> {
    const failure = classOfFailure(error === this.#warned ? undefined : error.code);
    if (failure.isForOperator) this.operatorError = error;
    if (failure.isElsewhere) this.isElsewhere = true;
    if (failure.kind === 'unknown' || !(await this.#isAlive()) || failure.isElsewhere) this.close();
    // Closed although it was clear: the server died with these words, and nobody knows what it had done.
    const isClear = !this.#isClosed || failure.isElsewhere;
    return { kind: isClear ? failure.kind : 'unknown', error };
  }

  /** Whether the connection has outlived an error: then the error has ended a statement, and not the server. */
  async #isAlive(): Promise<boolean> {
    try {
      await within(this.#deadlineMs, this.#client.query('select 1'));
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    this.#isClosed = true;
    destroy(this.#client);
  }
}

async function lookAt(client: Client, clusterId: string): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  if (rows[0]!.standby) throw new Error('it is a standby');
  const found = checkCluster(await readCluster(client));
  if (found.clusterId !== clusterId) throw new Error(`it has the cluster ${found.clusterId}; expected ${clusterId}`);
  await holdSettings(client);
}

/** @throws Error after the deadline; what was asked for goes on unwatched */
export async function within<Result>(deadlineMs: number, asked: Promise<Result>): Promise<Result> {
  asked.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
