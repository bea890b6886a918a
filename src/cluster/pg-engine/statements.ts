/**
 * The statements of the engine, each a transaction of its own at READ COMMITTED. What a statement checks about the owner, it
 * checks under a lock on the cell's row: an append shares it with reads of other appends, and a take waits for it.
 */
const owned = 'cell = $1 and epoch = $2 and session = $3';
const snapshotColumns = ['epoch', 'first', 'last', 'chain', 'parts'].map(
  (name) => `snapshot_${name} as "snapshot${name.charAt(0).toUpperCase()}${name.slice(1)}"`,
);
const cellColumns = ['cell, epoch, session, trimmed', ...snapshotColumns].join(', ');
const frameColumns = 'first, last, epoch, chain, previous, frame as bytes';
/** The first of them comes whatever its size. */
export const readBytesMax = 8 * 1024 * 1024;
export const trimFramesMax = 1000;

export const statements = {
  /** An append that waited for a take sees the new epoch, and inserts nothing. The key lets a slot be written once. */
  append: `
    insert into dragonlock.dl_log (cell, first, last, epoch, chain, previous, frame)
    select $1::int, $4::bigint, $5::bigint, $2::bigint, $6::bigint, $8::bigint, $9::bytea
    from dragonlock.dl_cell where ${owned}
      and exists (select 1 from dragonlock.dl_log p where p.cell = $1 and p.first = $7 and p.chain = $8)
    for share of dl_cell
    on conflict (cell, first) do nothing`,
  barrier: `update dragonlock.dl_cell set barrier = barrier + 1 where ${owned}`,
  take: `
    update dragonlock.dl_cell set epoch = $2::bigint + 1, session = $3::bigint
    where cell = $1 and (epoch = $2::bigint or (epoch = $2::bigint + 1 and session = $3::bigint))
      and not exists (select 1 from dragonlock.dl_node n
        where n.session = dl_cell.session and not n.dead and n.session <> $3::bigint)
    returning ${cellColumns}`,
  handOver: `
    update dragonlock.dl_cell set epoch = $2::bigint + 1, session = $6::bigint
    where cell = $1 and (
      (epoch = $2::bigint and session = $3
        and exists (select 1 from dragonlock.dl_log p where p.cell = $1 and p.first = $4 and p.chain = $5))
      or (epoch = $2::bigint + 1 and session = $6::bigint))`,
  /** In one statement, so that who has lost the cell removes nothing. The update locks the row before anything is removed. */
  trim: `
    with owner as (
      update dragonlock.dl_cell set trimmed = greatest(trimmed, $4::bigint) where ${owned} returning cell
    ), removed as (
      delete from dragonlock.dl_log where cell = (select cell from owner) and first in (
        select first from dragonlock.dl_log
        where cell = $1 and last <= $4::bigint
          and first < (select max(first) from dragonlock.dl_log where cell = $1)
        order by first limit ${trimFramesMax})
    )
    select cell from owner`,
  /** The share lock makes a take wait for it, as for an append. */
  putPart: `
    insert into dragonlock.dl_snapshot (cell, epoch, last, part, bytes)
    select $1::int, $2::bigint, $4::bigint, $5::int, $6::bytea from dragonlock.dl_cell where ${owned}
    for share of dl_cell
    on conflict (cell, epoch, last, part) do update set bytes = excluded.bytes`,
  /** Names the parts and removes all others in one statement, so that who has lost the cell does neither. */
  publish: `
    with owner as (
      update dragonlock.dl_cell set snapshot_epoch = $2::bigint, snapshot_first = $4::bigint, snapshot_last = $5::bigint,
        snapshot_chain = $6::bigint, snapshot_parts = $7::int
      where ${owned}
        and (snapshot_last is null or snapshot_last < $5::bigint
          or (snapshot_last = $5::bigint and snapshot_epoch = $2::bigint))
        and $7::int = (select count(*) from dragonlock.dl_snapshot p
          where p.cell = $1 and p.epoch = $2 and p.last = $5 and p.part < $7::int)
      returning cell
    ), removed as (
      delete from dragonlock.dl_snapshot
      where cell = (select cell from owner) and (epoch <> $2 or last <> $5 or part >= $7::int)
    )
    select cell from owner`,
  readPart: 'select bytes from dragonlock.dl_snapshot where cell = $1 and epoch = $2 and last = $3 and part = $4',
  look: `select ${cellColumns} from dragonlock.dl_cell where cell = $1`,
  frameAt: `select ${frameColumns} from dragonlock.dl_log where cell = $1 and first = $2`,
  /** Where the revision lies inside a frame, that frame is the first. */
  read: `
    select ${frameColumns} from (
      select *, sum(octet_length(frame)) over (order by first) - octet_length(frame) as bytes_before from (
        select * from dragonlock.dl_log
        where cell = $1 and last > $2::bigint and first >= coalesce(
          (select max(first) from dragonlock.dl_log where cell = $1 and first <= $2::bigint), 0)
        order by first limit $3::int) found
    ) sized where bytes_before < ${readBytesMax} order by first`,
  joinNew: `
    insert into dragonlock.dl_node (node, session, beat, dead) values ($1, $2, 0, false)
    on conflict (node) do update set session = excluded.session
    where dl_node.session = excluded.session and not dl_node.dead`,
  /** The same again changes nothing; it must not bring a session back to life that was declared dead since. */
  joinAfter: `
    update dragonlock.dl_node set session = $2::bigint, dead = false,
      beat = case when session = $2::bigint then beat else 0 end
    where node = $1 and ((session = $3::bigint and session <> $2::bigint) or (session = $2::bigint and not dead))`,
  beat: `update dragonlock.dl_node set beat = beat + 1 where node = $1 and session = $2 and not dead`,
  fence: `
    update dragonlock.dl_node set dead = true where node = $1 and session = $2 and beat = $3 and not dead`,
  nodes: 'select node, session, beat, dead from dragonlock.dl_node order by node',
  time: 'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
} as const;

export type StatementName = keyof typeof statements;
