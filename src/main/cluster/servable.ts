import type { Config } from '../../front-end/config-schema.ts';
import { ConfigError } from '../config/config.ts';

/** @throws ConfigError for a cluster: no server of this version is a node of one */
export function servable(config: Config): Config {
  if (config.cluster.engine === '') return config;
  throw new ConfigError([
    'cluster.engine: this version makes a cluster and shows its state (dragonlock cluster init, status), and cannot be a ' +
      'node of one yet. Remove cluster.engine to start a server of one machine.',
  ]);
}
