/** The agent's way to its repository, which is made when it is first needed and may fail until then. */
import type { BackupAgentOptions } from './backup-agent-options.ts';
import { payloadCodec } from './format/payload.ts';
import { Repository } from './repository/repository.ts';
import { PatientStorage } from './storage/patient-storage.ts';
import type { BackupStorage } from './storage/storage.ts';

type ConnectionOptions = Pick<
  BackupAgentOptions,
  'settings' | 'openStorage' | 'randomBytes' | 'cells' | 'after' | 'log'
>;

export class Connection {
  readonly #options: ConnectionOptions;
  #storage: BackupStorage | undefined;
  #repository: Repository | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Opens the repository, or makes it. @throws StorageError, ObjectDamaged, NewerFormat */
  async repository(): Promise<Repository> {
    if (this.#repository !== undefined) return this.#repository;
    const { settings, openStorage, randomBytes, cells, after, log } = this.#options;
    this.#storage ??= new PatientStorage(await openStorage(), after);
    const codec = await payloadCodec({ recipients: settings.recipients });
    const id = Buffer.from(randomBytes(16)).toString('hex');
    const repository = await Repository.openOrCreate(this.#storage, codec, id);
    await repository.probe();
    const isFencedByLists = repository.fencing === 'list';
    cells.set('fencedByLists', isFencedByLists ? 1 : 0);
    if (isFencedByLists)
      log('warn', `${this.#storage.name} ignores If-None-Match; claims are told apart by lists`, { fencing: 'list' });
    return (this.#repository = repository);
  }

  close(): void {
    this.#storage?.close();
  }
}
