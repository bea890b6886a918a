/** `cluster` in config.yml. */
import { Type, type Static } from 'typebox';

const flag = Type.Optional(Type.Boolean({ expected: 'true or false' }));

export const clusterSchema = Type.Object(
  {
    engine: Type.Optional(
      Type.String({ expected: 'postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE, or "" for no cluster' }),
    ),
    engine_single: flag,
    require_sync: flag,
  },
  { additionalProperties: false, expected: 'an object' },
);

export interface ClusterConfig extends Required<Static<typeof clusterSchema>> {
  /** The URL of the database that keeps the logs, with its password; empty: there is no cluster. */
  readonly engine: string;
  /** There is one database server by choice, without a synchronous standby. */
  readonly engine_single: boolean;
  /** Without a synchronous standby nothing is written. */
  readonly require_sync: boolean;
}

export const clusterDefaults: ClusterConfig = { engine: '', engine_single: false, require_sync: true };
