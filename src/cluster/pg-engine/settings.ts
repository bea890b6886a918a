/**
 * What an engine must be set to so that an acknowledged commit is durable on two machines, and how this server notices when
 * it is not: it looks when it opens the engine, and again with its beats, because a database may be reconfigured any time.
 */
import type { ClientBase } from 'pg';

export interface EngineRules {
  /** There is one database server, and no second machine: chosen by the operator. */
  readonly single: boolean;
  /** Without a synchronous standby nothing is written. */
  readonly requireSync: boolean;
}

export interface EngineSettings {
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly synchronousCommit: string;
  readonly synchronousStandbyNames: string;
  readonly inRecovery: boolean;
  /** Standbys that commits wait for and that are connected; undefined: this user may not see it. */
  readonly syncStandbys: number | undefined;
}

export interface SettingFault {
  readonly setting: string;
  readonly message: string;
  /** Nothing may be written to the engine as it is. */
  readonly stopsWrites: boolean;
}

export async function readSettings(client: ClientBase): Promise<EngineSettings> {
  const { rows } = await client.query<EngineSettings & { standbys: number; hidden: number }>(`
    select current_setting('fsync') as fsync, current_setting('full_page_writes') as "fullPageWrites",
      current_setting('synchronous_commit') as "synchronousCommit",
      current_setting('synchronous_standby_names') as "synchronousStandbyNames",
      pg_is_in_recovery() as "inRecovery",
      (select count(*)::int from pg_stat_replication where sync_state in ('sync', 'quorum')) as standbys,
      (select count(*)::int from pg_stat_replication where sync_state is null) as hidden`);
  const { standbys, hidden, ...settings } = rows[0]!;
  return { ...settings, syncStandbys: standbys === 0 && hidden > 0 ? undefined : standbys };
}

export function settingFaults(settings: EngineSettings, { single, requireSync }: EngineRules): SettingFault[] {
  const faults: SettingFault[] = [];
  const fault = (setting: string, message: string, stopsWrites: boolean): void => {
    faults.push({ setting, message: `The engine's ${setting} ${message}`, stopsWrites });
  };
  if (settings.inRecovery) fault('server', 'is a standby (in recovery); expected the primary', true);
  if (settings.fsync !== 'on')
    fault('fsync', `is ${settings.fsync}; expected on: a power cut would lose or tear acknowledged commits`, true);
  if (settings.fullPageWrites !== 'on')
    fault('full_page_writes', `is ${settings.fullPageWrites}; expected on: a power cut could tear pages`, true);
  // `local` waits for this machine's disk, `remote_write` not for the standby's.
  const enough = single ? ['local', 'remote_write', 'on', 'remote_apply'] : ['on', 'remote_apply'];
  if (!enough.includes(settings.synchronousCommit))
    fault(
      'synchronous_commit',
      `is ${settings.synchronousCommit}; expected ${enough.join(' or ')}: it acknowledges commits that are not durable`,
      true,
    );
  if (single) return faults;
  if (settings.synchronousStandbyNames === '')
    fault(
      'synchronous_standby_names',
      'is empty: a fail-over would lose acknowledged commits; expected the standby (or engine_single: true)',
      requireSync,
    );
  else if (settings.syncStandbys === undefined)
    fault('pg_stat_replication', 'hides standbys from this user: grant it pg_monitor', false);
  else if (settings.syncStandbys === 0)
    fault('synchronous_standby_names', 'names a standby, and none is connected: commits wait for it', false);
  return faults;
}

/** These would cancel a commit that waits for the standby; a server knows only some of them. */
const timeouts = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'];

/** From the first statement on; for what some servers do not know, there is `holdSettings`. */
export const startOptions = '-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0';

/**
 * Sets a connection up: nothing may cancel a commit, and the defaults of the database or the user cannot change under it.
 * `synchronous_commit` is held as it was found; whether that is enough, `settingFaults` says.
 */
export async function holdSettings(client: ClientBase): Promise<void> {
  await client.query(
    `select set_config(name, case when name = any($1) then '0'
        when name = 'default_transaction_isolation' then 'read committed' else setting end, false)
     from pg_settings where name = any($1) or name in ('default_transaction_isolation', 'synchronous_commit')`,
    [timeouts],
  );
}
