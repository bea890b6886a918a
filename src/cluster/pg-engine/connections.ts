/** The connections of a thread to the engine. Any of them serves any cell: each statement carries its own conditions. */
import type { QueryResultRow } from 'pg';
import { EngineConnection, type EngineQuery, type EngineQueryAnswer } from './connection.ts';
import type { EngineAddress } from './engine-url.ts';
import type { Pg } from './load-pg.ts';

export interface ConnectionsOptions {
  readonly pg: Pg;
  readonly address: EngineAddress;
  readonly clusterId: string;
  readonly connections: number;
  /** For each statement, and for each try to connect. */
  readonly deadlineMs: number;
  /** Is told what only an operator can change, and why no host serves. */
  readonly report: (message: string) => void;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #idle: EngineConnection[] = [];
  readonly #all = new Set<EngineConnection>();
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  /** The index of the host that served last. */
  #host = 0;
  #isClosed = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Never throws. `nothing` where no host takes a connection: nothing was sent. */
  async run<Row extends QueryResultRow>(query: EngineQuery): Promise<EngineQueryAnswer<Row>> {
    if (this.#busy >= this.#options.connections) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#busy += 1;
    try {
      return await this.#runOn(query);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy -= 1;
      else next();
    }
  }

  async #runOn<Row extends QueryResultRow>(query: EngineQuery): Promise<EngineQueryAnswer<Row>> {
    let connection: EngineConnection;
    try {
      connection = this.#takeIdle() ?? (await this.#open());
    } catch (error) {
      return { kind: 'nothing', error: error as Error };
    }
    const answer = await connection.run<Row>(query);
    if (connection.operatorError !== undefined) {
      this.#options.report(`The engine refuses the statement ${query.name}: ${connection.operatorError.message}`);
      connection.operatorError = undefined;
    }
    if (connection.isElsewhere) this.#host += 1;
    if (connection.isClosed || this.#isClosed) {
      connection.close();
      this.#all.delete(connection);
    } else this.#idle.push(connection);
    return answer;
  }

  #takeIdle(): EngineConnection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || !connection.isClosed) return connection;
      this.#all.delete(connection);
    }
  }

  /** Tries each host once, from the one that served last. */
  async #open(): Promise<EngineConnection> {
    const { address, clusterId, report } = this.#options;
    const { hosts } = address;
    const reasons: string[] = [];
    for (let tried = 0; tried < hosts.length; tried += 1) {
      if (this.#isClosed) throw new Error('The engine is closed');
      const host = hosts[this.#host % hosts.length]!;
      try {
        const connection = await EngineConnection.open({ ...this.#options, host }, clusterId);
        this.#all.add(connection);
        return connection;
      } catch (error) {
        reasons.push(`${host.host}:${host.port}: ${(error as Error).message}`);
        this.#host += 1;
      }
    }
    const message = `No host of the engine serves: ${reasons.join('; ')}`;
    report(message);
    throw new Error(message);
  }

  /** Statements that are under way end as unknown. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#all) connection.close();
    this.#all.clear();
  }
}
