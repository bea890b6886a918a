/** `dragonlock cluster`: makes a cluster in its database, and shows its state. Only a checkout has the server. */
import os from 'node:os';
import type { Run } from './command-spec.ts';
import { BackupCommandError, exitCodes, NegativeResult } from './exit-codes.ts';
import type { Options } from './invocation.ts';
import { serverFile } from './server-file.ts';

export const initCluster: Run = async ({ terminal, json }, { options }) => {
  const { id, cells } = await attempt(options, (module, sources) => module.initCluster(sources));
  if (json) terminal.json({ Cluster: id, Cells: cells });
  else terminal.line(`Made the cluster ${id} of ${cells} cells`);
};

export const showCluster: Run = async ({ terminal, json }, { options }) => {
  const { id, cells, unowned, nodes, warnings } = await attempt(options, (module, sources) =>
    module.clusterState(sources),
  );
  if (json) {
    terminal.json({
      Cluster: id,
      Cells: cells,
      Unowned: unowned,
      Nodes: nodes.map((node) => ({ Name: node.name, Alive: node.alive, Cells: node.cells })),
      Warnings: warnings,
    });
    return;
  }
  terminal.line(`cluster  ${id}`);
  terminal.line(`cells    ${cells}, ${unowned.length} without an owner`);
  for (const node of nodes)
    terminal.line(`node     ${node.name}, ${node.alive ? 'alive' : 'dead'}, ${node.cells.length} cells`);
  for (const warning of warnings) terminal.line(`warning  ${warning}`);
};

async function attempt<Result>(
  { config }: Options,
  run: (module: ClusterModule, sources: object) => Promise<Result>,
): Promise<Result> {
  const module = (await import(serverFile('cluster/cluster-commands').href)) as ClusterModule;
  const argv = typeof config === 'string' ? ['--config', config] : [];
  try {
    return await run(module, { argv, env: process.env, cores: os.availableParallelism() });
  } catch (error) {
    if (error instanceof module.ConfigError) throw new NegativeResult(error.message);
    if (!(error instanceof Error)) throw error;
    throw new BackupCommandError('engine', exitCodes.unavailable, error.message);
  }
}

/** The parts that are used here. Importing their types would put the server into the npm package. */
interface ClusterModule {
  initCluster: (sources: object) => Promise<{ readonly id: string; readonly cells: number }>;
  clusterState: (sources: object) => Promise<{
    readonly id: string;
    readonly cells: number;
    readonly unowned: readonly number[];
    readonly nodes: readonly { readonly name: string; readonly alive: boolean; readonly cells: readonly number[] }[];
    readonly warnings: readonly string[];
  }>;
  ConfigError: new (problems: readonly string[]) => Error;
}
