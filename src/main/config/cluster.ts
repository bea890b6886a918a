/** `cluster` of config.yml. */
import { parseEngineUrl } from '../../cluster/pg-engine/engine-url.ts';
import { clusterDefaults, type ClusterConfig } from '../../front-end/cluster-schema.ts';
import type { ConfigFile } from '../../front-end/config-schema.ts';
import type { ConfigFileReader } from './config-file.ts';

/** Reports what is wrong. What has no meaning for a node, or is not there for nodes yet, is refused beside it. */
export function readClusterConfig(
  { cluster = {}, shards, backup, machines }: ConfigFile,
  file: ConfigFileReader,
): ClusterConfig {
  const all = { ...clusterDefaults, ...cluster };
  if (all.engine === '') return all;
  try {
    parseEngineUrl(all.engine);
  } catch (error) {
    file.problemAt(['cluster', 'engine'], (error as Error).message);
  }
  if (shards !== undefined && shards !== 'auto')
    file.problemAt(['shards'], 'expected auto beside cluster.engine: a node has a shard for each cell that it has');
  if (backup?.url !== undefined && backup.url !== '')
    file.problemAt(
      ['backup', 'url'],
      'expected none beside cluster.engine: a cluster has no backup of its own yet; back up the database',
    );
  if ((machines?.list ?? []).length > 0)
    file.problemAt(
      ['machines', 'list'],
      'expected none beside cluster.engine: the cells of a cluster have owners that change',
    );
  return all;
}
