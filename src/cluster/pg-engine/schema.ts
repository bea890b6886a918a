/**
 * The tables of a cluster, their version, and how they are made. Nothing else creates or changes a table.
 *
 *   dl_cluster   one row: the format, how many cells, and which cluster this is
 *   dl_node      the last session of each node, and its beats
 *   dl_cell      who owns a cell. Appends only lock it; takes, barriers and trims change it
 *   dl_snapshot  what cells held behind a frame, in parts; the cell's row names the one that counts
 *   dl_log       the frames, of which the first has no bytes: it is there for the next one to name
 */
import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';

export const schemaFormat = 1;
export const cellsMax = 4096;

const tables = `
create schema dragonlock;
create table dragonlock.dl_cluster (
  only_row boolean primary key default true check (only_row),
  format integer not null,
  cells integer not null,
  cluster_id uuid not null
);
create table dragonlock.dl_node (
  node text primary key,
  session bigint not null unique,
  beat bigint not null,
  dead boolean not null
) with (fillfactor = 20);
create table dragonlock.dl_cell (
  cell integer primary key,
  epoch bigint not null,
  session bigint,
  trimmed bigint not null,
  barrier bigint not null,
  snapshot_epoch bigint,
  snapshot_first bigint,
  snapshot_last bigint,
  snapshot_chain bigint,
  snapshot_parts integer
) with (fillfactor = 20);
create table dragonlock.dl_log (
  cell integer not null,
  first bigint not null,
  last bigint not null,
  epoch bigint not null,
  chain bigint not null,
  previous bigint not null,
  frame bytea not null,
  primary key (cell, first)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
alter table dragonlock.dl_log alter column frame set storage external;
create table dragonlock.dl_snapshot (
  cell integer not null,
  epoch bigint not null,
  last bigint not null,
  part integer not null,
  bytes bytea not null,
  primary key (cell, epoch, last, part)
);
alter table dragonlock.dl_snapshot alter column bytes set storage external;
`;

export interface ClusterRow {
  readonly format: number;
  readonly cells: number;
  readonly clusterId: string;
}

/** @returns undefined: there is no cluster in this database */
export async function readCluster(client: ClientBase): Promise<ClusterRow | undefined> {
  const there = await client.query<{ there: boolean }>(
    `select to_regclass('dragonlock.dl_cluster') is not null as there`,
  );
  if (there.rows[0]?.there !== true) return undefined;
  const { rows } = await client.query<ClusterRow>(
    'select format, cells, cluster_id::text as "clusterId" from dragonlock.dl_cluster',
  );
  return rows[0];
}

/**
 * Makes the tables, with an empty log for each cell. How many cells there are stays as it is for ever.
 *
 * @throws Error if there is a cluster already
 */
export async function createCluster(client: ClientBase, cells: number): Promise<ClusterRow> {
  if (!Number.isInteger(cells) || cells < 1 || cells > cellsMax)
    throw new Error(`A cluster has 1 to ${cellsMax} cells, got ${cells}`);
  await client.query('begin');
  try {
    // One of two that begin together waits for the other, and finds its tables.
    await client.query(`select pg_advisory_xact_lock(hashtext('dragonlock'))`);
    const found = await readCluster(client);
    if (found !== undefined)
      throw new Error(`There is a cluster in this database already, of ${found.cells} cells (${found.clusterId})`);
    await client.query(tables);
    const row: ClusterRow = { format: schemaFormat, cells, clusterId: randomUUID() };
    await client.query('insert into dragonlock.dl_cluster (format, cells, cluster_id) values ($1, $2, $3)', [
      row.format,
      row.cells,
      row.clusterId,
    ]);
    await client.query(
      `insert into dragonlock.dl_cell (cell, epoch, trimmed, barrier) select cell, 0, 0, 0 from generate_series(0, $1::int - 1) cell`,
      [cells],
    );
    await client.query(
      `insert into dragonlock.dl_log (cell, first, last, epoch, chain, previous, frame)
       select cell, 0, 0, 0, 0, 0, '' from generate_series(0, $1::int - 1) cell`,
      [cells],
    );
    await client.query('commit');
    return row;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

/** @throws Error if a server of this version must not use the tables */
export function checkCluster(row: ClusterRow | undefined): ClusterRow {
  if (row === undefined)
    throw new Error('There is no cluster in this database, or this user may not see it: make one first');
  if (row.format !== schemaFormat)
    throw new Error(`The cluster's tables have format ${row.format}; this version knows ${schemaFormat} only`);
  return row;
}
