/** What `dragonlock cluster` does, over the engine that the configuration names. */
import type { CellRow, Engine, EngineAnswer } from '../../cluster/engine.ts';
import { makeCluster, PgEngine } from '../../cluster/pg-engine/pg-engine.ts';
import type { ClusterConfig } from '../../front-end/cluster-schema.ts';
import { cellCount } from '../../protocol/cell.ts';
import { ConfigError, loadConfig, type ConfigSources } from '../config/config.ts';

export interface ClusterState {
  readonly id: string;
  readonly cells: number;
  /** Cells that no living node has. */
  readonly unowned: readonly number[];
  readonly nodes: readonly { readonly name: string; readonly alive: boolean; readonly cells: readonly number[] }[];
  /** What is wrong with the engine's settings, and what it said meanwhile. */
  readonly warnings: readonly string[];
}

/** @throws ConfigError, and Error that says why the engine does not serve, or that there is a cluster already */
export async function initCluster(sources: ConfigSources): Promise<{ readonly id: string; readonly cells: number }> {
  const { clusterId, cells } = await makeCluster(configured(sources).engine, cellCount);
  return { id: clusterId, cells };
}

/** @throws ConfigError, and Error that says why the engine does not serve, or may not be used as it is set up */
export async function clusterState(sources: ConfigSources): Promise<ClusterState> {
  const { engine: url, engine_single, require_sync } = configured(sources);
  const warnings: string[] = [];
  const engine = await PgEngine.open({
    url,
    single: engine_single,
    requireSync: require_sync,
    report: (message) => warnings.push(message),
  });
  try {
    return { ...(await describeCluster(engine, engine.cluster)), warnings };
  } finally {
    engine.close();
  }
}

interface ClusterSize {
  readonly clusterId: string;
  readonly cells: number;
}

/** @throws Error if the engine does not answer */
export async function describeCluster(
  engine: Pick<Engine, 'look' | 'nodes'>,
  { clusterId, cells }: ClusterSize,
): Promise<Omit<ClusterState, 'warnings'>> {
  // The cells first, as whoever looks for one without an owner does.
  const rows = await Promise.all(Array.from({ length: cells }, async (_, cell) => answered(await engine.look(cell))));
  const nodes = answered(await engine.nodes());
  const cellsOf = (of: (row: CellRow) => boolean): number[] => rows.filter(of).map(({ cell }) => cell);
  return {
    id: clusterId,
    cells,
    unowned: cellsOf((row) => !nodes.some(({ session, dead }) => session === row.session && !dead)),
    nodes: nodes.map(({ node, session, dead }) => ({
      name: node,
      alive: !dead,
      cells: cellsOf((row) => row.session === session && !dead),
    })),
  };
}

function answered<Result>(answer: EngineAnswer<Result>): Result {
  if (answer.kind === 'done') return answer.result;
  throw new Error(`The engine did not answer (${answer.kind}); try again`);
}

function configured(sources: ConfigSources): ClusterConfig {
  const { cluster } = loadConfig(sources);
  if (cluster.engine !== '') return cluster;
  throw new ConfigError(['cluster.engine: expected the URL of the database of the cluster, got none']);
}

export { ConfigError } from '../config/config.ts';
